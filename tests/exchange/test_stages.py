"""What every job needs of the server, without a schedule, a method or a topology."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from fedefm.errors import ProtocolError, QuorumError
from fedefm.exchange.bounds import plain_copy
from fedefm.exchange.events import Event, StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task, seeded_task
from fedefm.exchange.record import Recorder
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance, RoundState
from support.scripted_network import CLASSES, Floats, Ledger, Network, fail_when
from support.throw_away_stage import Counter, add_stage, frames_of


@dataclass
class Job:
    """The stages of a job over a scripted network, and everything that they said."""

    network: Network
    events: list[Event] = field(default_factory=list)

    @property
    def stages(self) -> Stages[Any]:
        return Stages(self.network, Ledger(), CLASSES, self.events.append, rounds=3, seed=5, min_sites=2)

    def ask(self, state: Any, stage: Stage = Stage.TUNE, **how: Any) -> Any:
        """Have one stage done by everybody who still answers."""
        tasks = self.stages.tasks(state, stage, 0)
        return self.stages.perform(state, stage, [Assignment(task, {STUDENT: "w"}) for task in tasks], **how)


def job(**script: Any) -> Job:
    return Job(Network(Ledger().train, **script))


def test_preparing_names_corpora_and_images_of_every_kind_of_state() -> None:
    found = [
        job(images={"b": 4}).stages.prepare(state, ["b", "a"])
        for state in (Attendance(0), RoundState(0, {"a": "w", "b": "w"}))
    ]
    assert [type(state) for state in found] == [Attendance, RoundState]
    for state in found:
        assert state.corpora == {"a": CLASSES, "b": CLASSES} and state.images == {"a": 10, "b": 4}


def test_tasks_are_for_those_who_still_answer_and_seeded_by_the_job() -> None:
    state = Attendance(0, corpora=dict.fromkeys("abc", CLASSES), misses={"b": 2, "c": 1})
    assert job().stages.tasks(state, Stage.TUNE, 1) == [seeded_task(5, Stage.TUNE, 1, site) for site in "ac"]


def test_a_stage_is_told_with_the_rounds_of_the_job_and_what_it_moved() -> None:
    run = job(fault=fail_when("lost", site="b"))
    done, _ = run.ask(Attendance(2, corpora=dict.fromkeys("abc", CLASSES)), Stage.EVALUATE)
    assert [task.site for task, _ in done] == ["a", "c"]
    first, *between, last = run.events
    assert first == StageStarted(2, 3, Stage.EVALUATE, 3)
    assert [type(event) for event in between] == [TaskDone, TaskLost, TaskDone]
    assert isinstance(last, StageEnded) and (last.round, last.stage, last.bytes) == (2, Stage.EVALUATE, 3)


def test_a_stage_without_tasks_is_none() -> None:
    run, state = job(), Attendance(1)
    assert run.stages.perform(state, Stage.TUNE, []) == ([], state) and run.events == []


@pytest.mark.parametrize(("fault", "told"), [("stale", "instead of"), ("silent", "no answer"), ("lost", "cable cut")])
def test_who_fails_is_named_and_has_a_miss_unless_excused(fault: str, told: str) -> None:
    state = Attendance(0, corpora=dict.fromkeys("abc", CLASSES), misses={"a": 1})
    for excused, misses in (((), {"b": 1}), (("b",), {})):
        run = job(fault=fail_when(fault, site="b"))
        _, after = run.ask(state, excused=excused)
        [lost] = [event.lost for event in run.events if isinstance(event, TaskLost)]
        assert lost.site == "b" and told in lost.reason and after.misses == misses


def test_a_report_that_its_check_refuses_is_lost_with_the_reason() -> None:
    def refuse(report: Any) -> None:
        raise ProtocolError(f"tune: a loss of {report['loss']}")

    run = job()
    done, state = run.ask(Attendance(0, corpora={"a": CLASSES}), check=refuse)
    assert done == [] and state.misses == {"a": 1}
    assert [event.lost.reason for event in run.events if isinstance(event, TaskLost)] == ["tune: a loss of 0.5"]


def test_too_few_that_prepared_end_the_job() -> None:
    with pytest.raises(QuorumError, match="round 0, prepare: 1 hospitals took part, at least 2 must"):
        job(fault=fail_when("lost", site="b")).stages.prepare(Attendance(0), "ab")


def test_a_throw_away_stage_is_its_message_and_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    census = add_stage(monkeypatch, "census")
    hospitals = {name: Counter(name, census, frames) for name, frames in (("a", 12), ("b", 30), ("c", "many"))}
    events, recorder = [], Recorder(CLASSES)

    def listen(event: Event) -> None:
        events.append(event)
        recorder(event)

    stages = Stages(InProcessTransport(hospitals), Floats(), CLASSES, listen, rounds=1, seed=0, min_sites=1)
    state = stages.prepare(Attendance(0), hospitals)
    tasks = stages.tasks(state, census, 0)
    done, state = stages.perform(state, census, [Assignment(task, {}) for task in tasks], check=frames_of)
    assert {task.site: frames_of(result.report) for task, result in done} == {"a": 12, "b": 30}
    assert [event.lost.reason for event in events if isinstance(event, TaskLost)] == [
        "census: the hospital did not count its frames"
    ]
    assert state.misses == {"c": 1} and recorder.figures()["history"] == []
    assert [Task.from_dict(task.to_dict()) for task in tasks] == tasks  # over the wire
    assert plain_copy({"frames": 12}) == {"frames": 12}
