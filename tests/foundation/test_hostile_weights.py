"""One hospital sends weights that no training made: it loses that answer, and nobody loses anything else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedefm.errors import DataError
from fedefm.exchange.messages import TRAINING, Assignment, Result, Stage
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import PARALLEL, SEQUENTIAL, Schedule
from fedefm.foundation import run as module
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.run import FoundationRun, run_in_process
from fedefm.foundation.settings import Settings
from fedefm.foundation.start import start_of
from fedefm.maths import weights_sha256
from fedefm.models.build import Weights
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SCHEDULE = Schedule(rounds=2, local_steps=3, overseas_steps=2, distil_steps=2, max_misses=9)
JOB = Settings(CLASSES, size=32, schedule=SCHEDULE, model=SMALLEST, optimisation=Optimisation(batch_size=2))
BAD = "west"

Change = Callable[[Weights, Weights], Weights]
ATTACKS: dict[str, Change] = {
    "dead": lambda start, trained: {name: value * 0 for name, value in trained.items()},
    "negated": lambda start, trained: {name: -value for name, value in trained.items()},
    "scaled up": lambda start, trained: {name: torch.lerp(start[name], value, 20.0) for name, value in trained.items()},
    "scaled and turned": lambda start, trained: {
        name: torch.lerp(start[name], value, -20.0) for name, value in trained.items()
    },
}


def played(
    monkeypatch: pytest.MonkeyPatch, job: Settings, folders: dict[str, Path], stages: set[Stage], change: Change | None
) -> FoundationRun:
    """A run in which one hospital changes what it returns in some stages; without a change it does not answer."""

    class Attacker(Hospital):
        def perform(self, assignment: Assignment[Weights], *more: Callable[[], bool]) -> Result[Weights]:
            result, task = super().perform(assignment, *more), assignment.task
            if self.name != BAD or task.stage not in stages or result.weights is None:
                return result
            if change is None:
                raise DataError("silent")
            start = start_of(task, assignment.models, job.distillation, result.report.get("shares", {}))
            return replace(result, weights=change(start, result.weights))

    monkeypatch.setattr(module, "Hospital", Attacker)
    return run_in_process(job, folders)


@pytest.mark.parametrize(
    "attack", [pytest.param(name, marks=() if name == "negated" else pytest.mark.slow) for name in ATTACKS]
)
@pytest.mark.parametrize(
    "stages",
    [pytest.param({Stage.OVERSEAS}, id="experts"), pytest.param(set(TRAINING), id="all", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("order", [SEQUENTIAL, pytest.param(PARALLEL, marks=pytest.mark.slow)])
def test_an_attack_costs_no_more_than_silence(
    monkeypatch: pytest.MonkeyPatch, consortium: dict[str, Path], attack: str, stages: set[Stage], order: str
) -> None:
    """To the last bit: who is refused is lost; the report names the hospital, and whose weights it worked on."""
    job = replace(JOB, schedule=replace(SCHEDULE, order=order))
    silent = played(monkeypatch, job, consortium, stages, None)
    attacked = played(monkeypatch, job, consortium, stages, ATTACKS[attack])
    assert attacked.state.theta is not None and silent.state.theta is not None
    assert weights_sha256(attacked.state.theta) == weights_sha256(silent.state.theta)
    lost = attacked.figures["lost"]
    assert {one["site"] for one in lost} == {BAD} and {one["stage"] for one in lost} <= {s.value for s in stages}
    assert all("steps can move it" in one["reason"] for one in lost) and lost


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=() if name in ("fedefm", "at_home", "scaffold") else pytest.mark.slow)
        for name, rules in REGISTRY.items()
        if not rules.pooled
    ],
)
def test_honest_hospitals_are_never_refused(consortium: dict[str, Path], method: str) -> None:
    run = run_in_process(replace(JOB, schedule=replace(SCHEDULE, method=method)), consortium)
    assert run.figures["lost"] == []
