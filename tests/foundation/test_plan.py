"""The plan against real runs: the bytes are those that a run moves, and what it advises is what it says it brings."""

from dataclasses import replace
from pathlib import Path

import pytest

from fedefm.exchange.clocks import Known
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.plan import Bounds, Probe, census, plan, played, probe, unseen, with_change
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths.size import nbytes
from fedefm.models.build import initial_weights
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SCHEDULE = Schedule(rounds=2, local_steps=1, overseas_steps=1, distil_steps=1)
JOB = Settings(CLASSES, size=32, schedule=SCHEDULE, model=SMALLEST, optimisation=Optimisation(batch_size=2))
PROBE = Probe(1.0, 0.1, 400, 400, 1000, 10_000)
KNOWN = {f"h{k:02d}": Known((CLASSES[k % 3],), 100) for k in range(11)}
ALL = Bounds(1e9, 1e9, 1e9)


@pytest.mark.parametrize(("method", "groups"), [("fedefm", 1), ("fedefm", 2), ("at_home", 1), ("fedavg", 1)])
def test_the_bytes_are_those_of_the_run(consortium: dict[str, Path], method: str, groups: int) -> None:
    job = replace(JOB, schedule=replace(SCHEDULE, method=method, groups=groups))
    size = nbytes(initial_weights(SMALLEST, 4, 32, 0))
    planned = played(job, census(consortium), replace(PROBE, model_bytes=size, wire_bytes=size), 1e6)
    real = run_in_process(job, consortium).figures
    assert planned.moved.bytes == real["bytes"]["total"] == sum(planned.bytes.values())
    assert planned.moved.least == real["least_bytes"]["total"]


def test_a_census_is_of_folders_and_reads_no_image(consortium: dict[str, Path]) -> None:
    assert census(consortium) == {
        "east": Known(("catheter",), 12), "north": Known(("guidewire", "vessel"), 12), "west": Known(("vessel",), 12),
    }  # fmt: skip


def test_who_is_unseen_to_whom() -> None:
    known = {"a": Known(("catheter",), 1), "b": Known(("catheter", "vessel"), 1), "c": Known(("vessel",), 1)}
    assert unseen(known, "a") == {"vessel": ["b", "c"]} and unseen(known, "b") == {}


def test_hours_of_a_hospital_by_hand() -> None:
    """Two hospitals in turns: local, a visit, a lesson with one teacher; then all of it is measured."""
    known = {"a": Known(("catheter",), 100), "b": Known(("vessel",), 100)}
    job = replace(JOB, schedule=replace(SCHEDULE, rounds=1, reputation_limit=0.0))
    clocks = played(job, known, PROBE, float("inf"))
    trained = 3 * (1.0 + 0.15 * 100 * 0.1) + 2 * 0.1
    assert clocks.work == pytest.approx({"a": trained + 25 * 0.1 * 3, "b": trained + 25 * 0.1 * 3})
    assert clocks.wall == pytest.approx(2 * trained + 25 * 0.1 * 3)
    slow = played(job, known, PROBE, 100.0)
    assert slow.wall > clocks.wall and slow.work == clocks.work


def test_where_all_fits_nothing_is_advised() -> None:
    assert plan(JOB, KNOWN, PROBE, ALL, 1e6)["advice"] == []


def test_groups_are_advised_where_it_takes_too_long_and_bring_what_is_said() -> None:
    found = plan(JOB, KNOWN, PROBE, replace(ALL, hours=1e-6), 1e6)
    [line] = [line for line in found["advice"] if "schedule.groups=4" in line]
    hours = plan(with_change(JOB, {"schedule.groups": 4}), KNOWN, PROBE, ALL, 1e6)["hours"]
    assert line == f"--set schedule.groups=4: {hours:.2f} hours in place of {found['hours']:.2f}"
    assert hours < 0.5 * found["hours"]


def test_half_precision_is_advised_where_too_much_is_moved() -> None:
    found = plan(JOB, KNOWN, PROBE, replace(ALL, gigabytes=1e-12), 1e6)
    assert any(line.startswith("--set wire=float16") for line in found["advice"])
    assert not any("hours" in line for line in found["advice"])


def test_a_smaller_batch_is_advised_where_memory_is_short() -> None:
    tight = replace(ALL, memory=13_000 / 1e9)  # base and six models take 12400, a step of two images 1000
    assert [line.split(":")[0] for line in plan(JOB, KNOWN, PROBE, tight, 1e6)["advice"]] == [
        "--set optimisation.batch_size=1 --set optimisation.accumulate=2"
    ]


def test_the_probe_measures_this_machine() -> None:
    found = probe(JOB)
    assert found.step_seconds > found.image_seconds > 0
    assert found.model_bytes == found.wire_bytes == nbytes(initial_weights(SMALLEST, 4, 32, 0))
    assert probe(replace(JOB, wire="float16")).wire_bytes == found.model_bytes // 2
