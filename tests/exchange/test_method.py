"""What a method is handed, and that one file and one line of the registry are all that it takes."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from fedefm.errors import ConfigError
from fedefm.exchange.events import Event, TaskDone
from fedefm.exchange.messages import Stage
from fedefm.exchange.method import Exchange
from fedefm.exchange.methods import REGISTRY, method_named
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import complete
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths import weights_sha256
from fedefm.training.optimisation import Optimisation
from support.scripted_network import play
from support.small_networks import SMALLEST
from support.throw_away_method import WINNER

PLAN = Schedule(rounds=2, local_steps=1, overseas_steps=1, distil_steps=1)
CLASSES = ("catheter", "guidewire", "vessel")
JOB = Settings(CLASSES, size=32, schedule=PLAN, model=SMALLEST, optimisation=Optimisation(batch_size=2))


def test_a_throw_away_method_is_one_file_and_one_line_of_the_registry(
    consortium: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, WINNER.name, WINNER)
    told: list[Event] = []
    job = Settings.from_dict(JOB.to_dict() | {"schedule": {**JOB.to_dict()["schedule"], "method": "winner"}})
    run = run_in_process(job, consortium, [told.append])
    assert run.state.round == 2 and run.state.theta is not None and run.figures["lost"] == []
    losses = {
        e.task.site: e.report["loss"]
        for e in told
        if isinstance(e, TaskDone) and (e.task.stage, e.task.round) == (Stage.LOCAL, 1)
    }
    winner = min(losses, key=losses.__getitem__)
    assert set(losses) == set(consortium)
    assert weights_sha256(run.state.theta) == weights_sha256(run.state.silos[winner])
    assert set(run.figures["dice"]["by_model"]) == {"theta", *consortium} and run.figures["dice"]["mean"] is not None


def test_a_method_of_no_registry_is_unknown_to_a_job_in_one_line() -> None:
    with pytest.raises(ConfigError, match="method 'winner' is unknown; choose one of fedefm, at_home") as caught:
        replace(JOB, schedule=replace(PLAN, method="winner"))
    assert "\n" not in str(caught.value)
    assert all(method_named(name) is method for name, method in REGISTRY.items())


def test_a_round_is_handed_every_operation_that_the_protocol_names() -> None:
    operations = play(PLAN, complete("abc")).coordinator.operations
    assert isinstance(operations, Exchange)
    named = {name: value for name, value in vars(Exchange).items() if not name.startswith("_")}
    assert {"mix", "local", "overseas", "distil", "assess", "aggregate", "perform", "topology"} <= set(named)
    for name, value in named.items():
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):  # the same arguments, in the same order, with the same defaults
            ours = inspect.signature(getattr(type(operations), name)).parameters
            assert list(map(str, ours.values())) == list(map(str, inspect.signature(value).parameters.values())), name
