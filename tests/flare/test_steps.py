"""Steps on their way through FLARE's metric streaming: what a hospital tells is what the server reads."""

import pytest
from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.utils.analytix_utils import create_analytic_dxo

from fedefm.exchange.messages import Stage, Task
from fedefm.flare.steps import FED_EVENT, TELL_SECONDS, StepsTold, StepTeller, steps_tag, steps_told
from fedefm.resources import shipped

TASK = Task(Stage.OVERSEAS, 2, "host", "guest", steps=100)


class Sender(FLComponent):
    """Keeps what a component fires."""

    def __init__(self):
        super().__init__()
        self.fired = []

    def fire_event(self, event_type, fl_ctx):
        self.fired.append((event_type, fl_ctx.get_prop(FLContextKey.EVENT_DATA)))


def arrived(data, site="host"):
    """A figure as the server's job has it."""
    fl_ctx = FLContext()
    data.set_peer_props({ReservedKey.IDENTITY_NAME: site})
    fl_ctx.set_prop(FLContextKey.EVENT_DATA, data, private=True, sticky=False)
    return fl_ctx


def test_steps_are_told_seldom_and_read_as_they_were():
    sender, now = Sender(), [0.0]
    teller = StepTeller(sender, FLContext(), lambda: now[0])
    for step in range(8):
        now[0] = step * TELL_SECONDS / 2
        teller(TASK, step, 0.5)
    assert [steps_told(arrived(data)) for _, data in sender.fired] == [
        StepsTold("host", "steps/overseas/guest", 2, step + 1) for step in (2, 4, 6)
    ]
    [event] = {event for event, _ in sender.fired}
    assert f"fed.{event}" == FED_EVENT


def test_the_jobs_that_train_carry_them():
    for job in ("foundation", "finetune"):
        config = (shipped("jobs") / job / "app" / "config" / "config_fed_client.json").read_text()
        assert FED_EVENT.removeprefix("fed.") in config


def figure(tag="steps/local", value=1.0, kind=AnalyticsDataType.SCALAR, **more):
    return create_analytic_dxo(tag, value, kind, **more).to_shareable()


@pytest.mark.parametrize(
    "data",
    [
        None,
        Shareable(),
        figure("loss/local", global_step=1),
        figure(value=-1, global_step=1),
        figure(value=0, global_step=1),
        figure(value=float("nan"), global_step=1),
        figure(value=float("inf"), global_step=1),
        figure(value=1e30, global_step=1),
        figure(value=1.0),
        figure(value="x", kind=AnalyticsDataType.TEXT, global_step=1),
    ],
)
def test_anything_else_says_nothing_of_steps(data):
    fl_ctx = FLContext()
    if data is not None:
        fl_ctx = arrived(data)
    assert steps_told(fl_ctx) is None


def test_a_sender_without_a_name_says_nothing():
    assert steps_told(arrived(figure(global_step=1), site=None)) is None


def test_stages_of_a_hospitals_own_are_named_by_the_stage_alone():
    assert steps_tag(Task(Stage.LOCAL, 0, "a", "a")) == "steps/local"
