from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.exchange.messages import TRAINING, Stage
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import Topology, complete, from_edges, ring
from support.scripted_network import Play, play

SMALL = st.integers(1, 4)
METHODS = tuple(REGISTRY)


def has_tour(topology: Topology) -> bool:
    with suppress(ConfigError):
        return bool(topology.tour())
    return False


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    sites = [f"s{k}" for k in range(draw(st.integers(1, 5)))]
    pairs = [(a, b) for a in sites for b in sites if a != b]
    kind = draw(st.sampled_from(["complete", "ring", "directed"]))
    if kind != "directed":
        return {"complete": complete, "ring": ring}[kind](sites)
    return from_edges(sites, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [], directed=True)


def steps_by_site(run: Play, *stages: Stage) -> Counter[str]:
    steps: Counter[str] = Counter()
    for assignment in run.network.asked:
        if assignment.task.stage in stages:
            steps[assignment.task.site] += assignment.task.steps
    return steps


@settings(max_examples=15, deadline=None)
@given(topologies(), SMALL, SMALL, SMALL, SMALL)
def test_every_method_takes_the_same_gradient_steps_at_every_hospital(
    topology: Topology, rounds: int, local: int, overseas: int, distil: int
) -> None:
    steps = {}
    for method in (m for m in METHODS if m != "ring" or has_tour(topology)):
        plan = Schedule(method, rounds, local, overseas, distil, compare_lone=method == "fedefm")
        run = play(plan, topology)
        run.coordinator.run("start")
        steps[method] = steps_by_site(run, *TRAINING)
        if plan.compare_lone:
            steps["compare_lone"] = steps_by_site(run, Stage.LONE)
    by_hand = {s: local + rounds * (len(topology.visitors(s)) * overseas + distil) for s in topology.sites}
    pooled = steps.pop("pooled")  # each of its steps draws a batch of every hospital
    updates = steps.pop("pooled_updates")  # each of its steps draws a batch of one hospital
    assert steps == dict.fromkeys(steps, by_hand) and len(steps) >= len(METHODS) - 2
    assert updates == {topology.sites[0]: sum(by_hand.values())}
    assert pooled == {topology.sites[0]: max(by_hand.values())}


@pytest.mark.parametrize("method", METHODS)
def test_progress_covers_the_run_without_a_gap(method: str) -> None:
    plan = Schedule(method, rounds=5)
    run = play(plan, complete("abc"))
    run.coordinator.run("start")
    spans = sorted({a.task.progress for a in run.network.asked if a.task.stage in TRAINING})
    assert spans[0][0] == 0 and spans[-1][1] == 1
    assert all(before[1] == after[0] for before, after in pairwise(spans))


def test_no_two_tasks_of_a_run_share_a_seed_or_an_id() -> None:
    run = play(Schedule(rounds=3, compare_lone=True), complete("abcd"))
    run.coordinator.run("start")
    tasks = [a.task for a in run.network.asked]
    assert len({t.seed for t in tasks}) == len({t.id for t in tasks}) == len(tasks)


def test_the_job_seed_changes_every_task_seed() -> None:
    seeds = []
    for seed in (0, 1):
        run = play(Schedule(rounds=2, seed=seed), ring("abc"))
        run.coordinator.run("start")
        seeds.append({a.task.id: a.task.seed for a in run.network.asked})
    assert seeds[0].keys() == seeds[1].keys()
    assert not set(seeds[0].values()) & set(seeds[1].values())
