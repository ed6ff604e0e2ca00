"""A job's status on the disk and in the answer to whoever asks."""

import json
import time

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.widgets.info_collector import GroupInfoCollector, InfoCollector

from fedefm.errors import QuorumError
from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage, Task
from fedefm.exchange.status import BROKEN_OFF, FINISHED, STATUS_FILE, AtWork, Condition, Heard, JobStatus
from fedefm.flare.job_status import INTERNAL, StatusKeeper, status_in
from fedefm.flare.presence import Left, Presence
from fedefm.flare.steps import StepsTold
from fedefm.settings import build

TASK = Task(Stage.LOCAL, 0, "a", "a", steps=10)


def keeper(tmp_path, presence=None):
    work = {"a": Heard(AtWork((TASK,), 1.0, 60.0))}
    presence = presence or Presence(lambda: None)
    made = StatusKeeper("job", ["a", "b"], lambda site: work.get(site, Heard()), presence, tmp_path / STATUS_FILE)
    return made


def on_disk(tmp_path):
    return build(JobStatus, json.loads((tmp_path / STATUS_FILE).read_text()), "status")


def test_it_is_written_while_the_job_runs_and_at_its_end(tmp_path):
    with keeper(tmp_path) as kept:
        kept.tell(StageStarted(0, 2, Stage.LOCAL, 1))
        deadline = time.monotonic() + 20
        while not (tmp_path / STATUS_FILE).is_file():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running = on_disk(tmp_path)
        kept.ended(FINISHED)
    assert (running.end, running.rounds, running.hospitals[0].condition) == ("", 2, Condition.WORKING)
    assert on_disk(tmp_path).end == FINISHED


@pytest.mark.parametrize(
    ("error", "end"), [(None, BROKEN_OFF), (QuorumError("too few"), "too few"), (KeyError("x"), INTERNAL)]
)
def test_a_job_that_ends_otherwise_says_how(tmp_path, error, end):
    with pytest.raises(type(error)) if error else keeper(tmp_path / "other"), keeper(tmp_path):
        if error:
            raise error
    assert on_disk(tmp_path).end == end


def test_steps_count_for_the_work_that_a_hospital_is_at_alone(tmp_path):
    kept = keeper(tmp_path)
    for told in (
        StepsTold("a", "steps/distil", 0, 5),
        StepsTold("a", "steps/local", 1, 6),
        StepsTold("b", "steps/local", 0, 7),
        StepsTold("nobody", "steps/local", 0, 7),
    ):
        kept.steps(told)
        assert kept.status().hospitals[0].step == 0
    kept.steps(StepsTold("a", "steps/local", 0, 4))
    assert kept.status().hospitals[0].step == 4


def test_who_has_left_by_the_servers_word_shows_so(tmp_path):
    presence = Presence(lambda: None)
    presence.left, presence.heartbeats = {"a": Left.STOPPED, "b": Left.RESTARTED}, {"a": 5.0}
    a, b = keeper(tmp_path, presence).status().hospitals
    assert (a.condition, a.reason, a.heartbeat) == (Condition.STOPPED, Left.STOPPED.value, 5.0)
    assert (b.condition, b.reason) == (Condition.DIED, Left.RESTARTED.value)


def test_who_asks_gets_it_and_reads_it_again(tmp_path):
    kept, fl_ctx, collector = keeper(tmp_path), FLContext(), GroupInfoCollector()
    fl_ctx.set_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR, collector, sticky=False, private=True)
    kept.answer(fl_ctx)
    answer = json.loads(json.dumps({"server": collector.info}))
    assert build(JobStatus, dict(status_in(answer)), "status").job == "job"
    for other in (None, {}, {"server": None}, {"server": {"fedefm": 1}}, {"server": {"FoundationController": {}}}):
        assert status_in(other) is None


def test_a_disk_that_refuses_it_does_not_end_the_job(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with StatusKeeper("job", ["a"], lambda site: Heard(), Presence(lambda: None), tmp_path / "file" / "x") as kept:
        kept.ended(FINISHED)
