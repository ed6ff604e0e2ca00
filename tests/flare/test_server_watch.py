"""What the server's main process tells its jobs, from its own tables of hospitals."""

from types import SimpleNamespace

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey, RunProcessKey
from nvflare.apis.fl_context import FLContext

from fedefm.flare.server_watch import MOMENTS, ServerWatch


class Engine:
    """As much of FLARE's server as is looked at, with one job of three hospitals."""

    def __init__(self, now, disabled=()):
        participants = {f"{name}-1": Client(name, f"{name}-1") for name in "abc"}
        self.run_processes = {"job": {RunProcessKey.PARTICIPANTS: participants}}
        self.now, self.dead, self.resolved = now, [], []
        self.job_runner = SimpleNamespace(resolve_client_outcome=lambda job, name: self.resolved.append((job, name)))
        self.server = SimpleNamespace(client_manager=SimpleNamespace(is_client_disabled=lambda name: name in disabled))

    def get_client_from_name(self, name):
        return Client(name, self.now[name]) if name in self.now else None

    def notify_dead_job(self, job_id, name, reason):
        self.dead.append((job_id, name))


def look(watch, engine, moment):
    fl_ctx = FLContext()
    fl_ctx.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    watch.handle_event(moment, fl_ctx)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_hospital_that_was_started_again_is_out_of_the_job_and_told_once(moment):
    engine, watch = Engine({"a": "a-1", "b": "b-2", "c": "c-1"}), ServerWatch()
    for _ in range(3):
        look(watch, engine, moment)
    assert engine.dead == [("job", "b")] and set(engine.resolved) == {("job", "b")}


def test_a_removed_hospital_is_not_waited_for_and_one_that_is_only_silent_is():
    engine = Engine({"a": "a-1"}, disabled={"c"})
    look(ServerWatch(), engine, MOMENTS[0])
    assert engine.dead == [] and engine.resolved == [("job", "c")]


def test_nothing_is_looked_at_otherwise():
    engine = Engine({"b": "b-2"})
    look(ServerWatch(), engine, EventType.SYSTEM_START)
    assert engine.dead == engine.resolved == []
