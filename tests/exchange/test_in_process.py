"""Hospitals in one process are counted as if each kept what it has seen; what they compute does not change."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fedefm.exchange.events import StageEnded
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Assignment, Result, Stage
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import complete
from support.scripted_network import Play, play

ROUNDS, SITES = 2, "abcd"


class Names:
    """A wire on which every set of weights is one byte and is called by its own name."""

    def digest(self, weights: str) -> str:
        return weights

    def nbytes(self, weights: str) -> int:
        return 1

    def carried(self, weights: str) -> str:
        return weights


class Hospital:
    """Answers as the scripted network does."""

    def __init__(self, run: Play):
        self.run = run

    def perform(self, assignment: Assignment[str]) -> Result[str]:
        return self.run.network._result(assignment)


def counted(method: str, sites: Sequence[str] = SITES, rounds: int = ROUNDS) -> tuple[Play, str | None, int, int]:
    """A run over hospitals that keep what they see: its events, Theta, bytes and least bytes."""
    run = play(Schedule(method, rounds, 4, 1, 2), complete(sites))
    coordinator = run.coordinator
    object.__setattr__(
        coordinator.stages, "transport", InProcessTransport(dict.fromkeys(sites, Hospital(run)), Names())
    )
    theta = coordinator.run("start").theta
    ended = [event for event in run.events if isinstance(event, StageEnded)]
    return run, theta, sum(e.bytes for e in ended), sum(e.least for e in ended)


@pytest.mark.parametrize("method", sorted(REGISTRY))
def test_no_method_moves_more_than_the_least_and_theta_is_the_same(method: str) -> None:
    _, theta, moved, least = counted(method)
    plain = play(Schedule(method, ROUNDS, 4, 1, 2), complete(SITES))
    assert theta == plain.coordinator.run("start").theta
    everything = sum(event.bytes for event in plain.events if isinstance(event, StageEnded))
    assert 0 < moved == least <= everything


@pytest.mark.parametrize("n", [3, 4])
def test_a_turn_moves_each_expert_twice_and_the_silo_once_to_each_other_hospital(n: int) -> None:
    """Between two rounds in which all know all silos: what is assessed is the next silo's start."""
    sites = "abcdef"[:n]

    def turn(method: str) -> float:
        (_, _, two, _), (_, _, three, _) = counted(method, sites, 2), counted(method, sites, 3)
        return (three - two) / n

    assert turn("fedefm") == 3 * (n - 1) + 1 + 1  # the last is Theta, which the first turn of a round brings to all
    assert turn("at_home") == pytest.approx(n + 1 / n)  # here to the first silo alone


def test_what_a_hospital_returned_is_not_sent_back_to_it() -> None:
    run, *_ = counted("fedefm")
    by_stage = dict.fromkeys(Stage, 0)
    for event in run.events:
        if isinstance(event, StageEnded):
            by_stage[event.stage] += event.bytes
    assert by_stage[Stage.LONE] == 0  # all hold the start
    assert by_stage[Stage.EVALUATE] == len(SITES)  # Theta alone is new


@pytest.mark.parametrize(
    ("method", "before", "now"), [("fedefm", 476, 369), ("at_home", 278, 144), ("turns", 188, 144), ("fedavg", 84, 80)]
)
def test_the_table_of_models_in_docs_method_holds(method: str, before: int, now: int) -> None:
    _, _, moved, least = counted(method, rounds=8)
    plain = play(Schedule(method, 8, 4, 1, 2), complete(SITES))
    plain.coordinator.run("start")
    assert (sum(e.bytes for e in plain.events if isinstance(e, StageEnded)), moved, least) == (before, now, now)
    text = (Path(__file__).parents[2] / "docs" / "method.md").read_text()
    assert f"| `{method}` | {before} | {now} | {now} |" in text
