import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedefm.errors import CheckpointError, QuorumError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event, StageStarted, TaskDone
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Assignment, Stage
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.record import Recorder
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import complete
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.run import MISSING, NEW, FoundationRun, run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths import weights_sha256
from fedefm.models.build import Weights, initial_weights
from fedefm.models.stored import HELD, Shelf, StoredWeights
from fedefm.training.ops import TensorOps
from fedefm.training.optimisation import Optimisation
from fedefm.training.wire import FLOAT32, WIRES
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SCHEDULE = Schedule(rounds=2, local_steps=3, overseas_steps=2, distil_steps=2)
JOB = Settings(CLASSES, size=32, schedule=SCHEDULE, model=SMALLEST, optimisation=Optimisation(batch_size=2))


def theta_hash(state: RoundState[Weights]) -> str:
    assert state.theta is not None
    return weights_sha256(state.theta)


@pytest.fixture(scope="module")
def run(consortium: dict[str, Path]) -> FoundationRun:
    return run_in_process(JOB, consortium)


@pytest.fixture
def broken(consortium: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The consortium, where one hospital's manifest was damaged."""
    shutil.copytree(consortium["west"], tmp_path / "west")
    (tmp_path / "west" / "dataset.json").write_text("{")
    return {**consortium, "west": tmp_path / "west"}


def test_the_same_seed_gives_the_same_theta_in_any_order_of_sites(
    run: FoundationRun, consortium: dict[str, Path]
) -> None:
    again = run_in_process(JOB, dict(reversed(consortium.items())))
    assert theta_hash(again.state) == theta_hash(run.state)
    assert {s: weights_sha256(w) for s, w in again.state.silos.items()} == {
        s: weights_sha256(w) for s, w in run.state.silos.items()
    }
    assert {k: again.figures[k] for k in again.figures if k != "seconds"} == {
        k: run.figures[k] for k in run.figures if k != "seconds"
    }


@pytest.mark.parametrize(
    ("groups", "wire"),
    [
        pytest.param(groups, wire, marks=[] if (groups, wire) == (2, FLOAT32) else pytest.mark.slow)
        for groups in (1, 2)
        for wire in WIRES
    ],
)
def test_weights_on_the_disk_change_no_bit(
    consortium: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: str, groups: int
) -> None:
    job = replace(JOB, wire=wire, schedule=replace(SCHEDULE, groups=groups))
    plain = run_in_process(job, consortium)
    monkeypatch.setattr("fedefm.foundation.run.Shelf", partial(Shelf, small=0))
    stored = run_in_process(job, consortium, keep=tmp_path)
    assert isinstance(stored.state.theta, StoredWeights)
    assert all(isinstance(weights, StoredWeights) for weights in stored.state.silos.values())
    assert theta_hash(stored.state) == theta_hash(plain.state)
    assert stored.figures["bytes"] == plain.figures["bytes"]
    assert len(list((tmp_path / HELD).iterdir())) <= 2 + len(consortium)  # experts and older models are gone


def test_another_seed_gives_another_theta(run: FoundationRun, consortium: dict[str, Path]) -> None:
    other = run_in_process(replace(JOB, schedule=replace(SCHEDULE, seed=1)), consortium)
    assert theta_hash(other.state) != theta_hash(run.state)


class Shuffled(InProcessTransport):
    """Hospitals answer in another order than they were asked."""

    def perform(self, assignments: Sequence[Assignment[Weights]]) -> Iterator[Any]:
        mixed = list(assignments)
        random.Random(5).shuffle(mixed)
        yield from super().perform(mixed)


def test_neither_the_order_of_arrival_nor_a_restart_changes_theta(
    run: FoundationRun, consortium: dict[str, Path]
) -> None:
    """Fault P1: a run whose answers come in another order, broken off after its first round and resumed."""
    initial, saved = initial_weights(JOB.model, len(CLASSES) + 1, JOB.size, SCHEDULE.seed), []

    def server() -> Coordinator[Weights]:
        hospitals = {name: Hospital(name, folder, JOB) for name, folder in consortium.items()}
        recorder = Recorder(CLASSES)
        return Coordinator(
            SCHEDULE,
            JOB.rules,
            complete(list(consortium)),
            CLASSES,
            Shuffled(hospitals),
            TensorOps(initial),
            recorder,
            saved.append,
        )

    first = server()
    saved.append(first.one_round(first.prepare(RoundState(0, dict.fromkeys(consortium, initial)))))
    assert theta_hash(server().run(initial, resume=saved[0])) == theta_hash(run.state)
    assert [state.round for state in saved] == [1, 2]


def test_a_run_goes_on_with_the_hospitals_that_it_began_with(consortium: dict[str, Path], tmp_path: Path) -> None:
    """One is missing now, one is new: both are told, and neither ends the run."""

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.round == 1:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run_in_process(JOB, {site: consortium[site] for site in ("east", "north")}, [stop], keep=tmp_path)
    found = run_in_process(JOB, {site: consortium[site] for site in ("north", "west")}, keep=tmp_path)
    assert [(one["site"], one["round"], one["reason"]) for one in found.figures["lost"]] == [
        ("east", 1, MISSING),
        ("west", 1, NEW),
    ]
    assert found.figures["resumed"] == [{"round": 1, "note": ""}] and found.state.round == 2
    assert [set(entry["loss"]["distil"]) for entry in found.figures["history"]] == [{"east", "north"}, {"north"}]


def test_a_fingerprint_alone_is_no_start(consortium: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="no Theta was given"):
        run_in_process(replace(JOB, start_sha256="0" * 64), consortium)


def test_figures_are_json_without_nan_and_complete(run: FoundationRun) -> None:
    figures = json.loads(json.dumps(run.figures, allow_nan=False))
    assert figures["sites"] == ["east", "north", "west"] and figures["lost"] == []
    assert figures["corpora"] == {"east": ["catheter"], "north": ["guidewire", "vessel"], "west": ["vessel"]}
    assert [entry["round"] for entry in figures["history"]] == [0, 1]
    assert set(figures["dice"]["by_model"]) == {"theta", "east", "north", "west"}
    assert all(set(by_class) == set(CLASSES) for by_class in figures["dice"]["by_site"].values())
    assert all(0 <= v <= 1 for by_class in figures["dice"]["by_site"].values() for v in by_class.values())
    assert all(len(figures["emd_similarity"][k]) == 3 for k in ("0", "1"))


def test_training_moved_every_silo_and_a_rate_of_one_gives_their_mean(consortium: dict[str, Path]) -> None:
    state = run_in_process(replace(JOB, schedule=replace(SCHEDULE, server_rate=1.0)), consortium).state
    assert len({weights_sha256(w) for w in state.silos.values()}) == 3
    assert theta_hash(state) == weights_sha256(
        TensorOps(state.theta).average(state.silos, dict.fromkeys(state.silos, 1.0))
    )


@pytest.mark.parametrize("method", REGISTRY)
def test_a_broken_site_is_named_and_the_rest_goes_on(broken: dict[str, Path], method: str) -> None:
    told: list[Event] = []
    job = replace(JOB, schedule=replace(SCHEDULE, method=method, rounds=1))
    found = run_in_process(job, broken, [told.append])
    [lost] = found.figures["lost"]
    assert (lost["site"], lost["stage"]) == ("west", "prepare") and "DataError" in lost["reason"]
    assert found.figures["sites"] == ["east", "north"]
    assert found.state.trained == (set() if method.startswith("pooled") else {"east", "north"})
    assert (found.state.theta is None) == (method == "lone")
    worked = {e.task.site for e in told if isinstance(e, TaskDone) and e.task.stage is not Stage.PREPARE}
    assert worked == {"east", "north"}


def test_with_too_few_hospitals_there_is_no_theta(broken: dict[str, Path]) -> None:
    with pytest.raises(QuorumError, match="no global model"):
        run_in_process(replace(JOB, schedule=replace(SCHEDULE, min_sites=3)), broken)
