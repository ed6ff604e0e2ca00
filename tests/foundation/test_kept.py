"""A foundation run's state and story on disk."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedefm.exchange.events import (
    CountsCapped,
    Event,
    RunResumed,
    SilosRated,
    StageEnded,
    StageStarted,
    Standing,
    StandingChanged,
    TaskDone,
    TaskLost,
)
from fedefm.exchange.messages import Lost, Stage, Task
from fedefm.exchange.state import RoundState
from fedefm.foundation.kept import RunKept
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights, initial_weights
from support.small_networks import SMALLEST

SITES = ("a", "b", "c")
CLASSES = ("catheter", "guidewire")
JOB = Settings(CLASSES, size=32, model=SMALLEST)
SOME = st.sets(st.sampled_from(SITES))
SHARE = st.floats(0, 1)


START = initial_weights(SMALLEST, len(CLASSES) + 1, 32, 0)


def weights(value: float) -> Weights:
    first = next(iter(START))
    return START | {first: START[first] + value}


@st.composite
def states(draw: st.DrawFn) -> RoundState[Weights]:
    some, numbers = draw(SOME), st.floats(-9, 9, width=32)
    return RoundState(
        draw(st.integers(1, 99)),
        {site: weights(draw(numbers)) for site in SITES},
        draw(st.none() | numbers.map(weights)),
        frozenset(draw(SOME)),
        {site: weights(draw(numbers)) for site in some},
        {host: {"catheter": {silo: draw(SHARE) for silo in SITES}} for host in some},
        corpora=dict.fromkeys(some, ("catheter",)),
        images={site: draw(st.integers(0, 10**6)) for site in some},
        misses={site: draw(st.integers(0, 5)) for site in some},
        returns={site: draw(st.integers(0, 5)) for site in some},
        away_until={site: draw(st.integers(0, 99)) for site in some},
        missed_visits={site: draw(st.integers(0, 5)) for site in some},
        benched={site: draw(st.integers(0, 99)) for site in some},
        removed=frozenset(draw(SOME)),
    )


SITE = st.sampled_from(SITES)
STAGES = st.sampled_from([Stage.LOCAL, Stage.DISTIL, Stage.EVALUATE])
NAME = st.text(st.characters(categories=["L", "N"]), max_size=5)  # what came through `exchange.bounds` is plain
REPORT = st.dictionaries(NAME, st.none() | st.floats(-1e6, 1e6) | st.integers(0, 10**7), max_size=3)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(StageStarted, st.integers(0, 9), st.integers(1, 9), STAGES, st.integers(1, 9)),
    st.builds(StageEnded, st.integers(0, 9), STAGES, st.floats(0, 1e6), st.integers(0, 2**60)),
    st.builds(lambda s, k, r, n: TaskDone(Task(s, k, "a", "a", seed=2**62), r, n), STAGES, st.integers(0, 9), REPORT,
              st.integers(0, 99)),
    st.builds(lambda site, why: TaskLost(Lost(site, 1, Stage.OVERSEAS, why, "b")), SITE, st.text(max_size=20)),
    st.builds(SilosRated, st.integers(0, 9), st.dictionaries(SITE, SHARE, min_size=1)),
    st.builds(CountsCapped, st.integers(0, 9), st.lists(SITE).map(tuple)),
    st.builds(StandingChanged, st.integers(0, 9), SITE, st.sampled_from(Standing), st.text(max_size=9)),
    st.builds(RunResumed, st.integers(0, 9), st.text(max_size=9)),
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN is NaN and weights are equal bit by bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and same(vars(a), vars(b))
    return bool(a == b)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states(), st.lists(EVENTS, max_size=6))
def test_state_and_story_come_back_as_they_were(tmp_path: Path, state: RoundState[Weights], told: list[Event]) -> None:
    RunKept(tmp_path, JOB).save(state, told)
    found = RunKept(tmp_path, JOB).load()
    RunKept(tmp_path, JOB).remove()
    assert found is not None and found.note == ""
    assert same(found.state, state)
    assert len(found.events) == len(told) and all(map(same, found.events, told))


def test_only_what_changes_no_bit_of_theta_may_differ(tmp_path: Path) -> None:
    RunKept(tmp_path, JOB).save(RoundState(1, {"a": weights(1.0)}), [])
    for other in (
        replace(JOB, size=64),
        replace(JOB, start_sha256="0" * 64),
        replace(JOB, schedule=replace(JOB.schedule, seed=1)),
        replace(JOB, schedule=replace(JOB.schedule, rounds=9)),
    ):
        assert RunKept(tmp_path, other).load() is None
    assert RunKept(tmp_path, replace(JOB, name="again", stage_timeout=5, start="x")).load() is not None
    graph = tmp_path / "graph.json"
    graph.write_text("{}")
    assert RunKept(tmp_path, JOB, graph).load() is None
