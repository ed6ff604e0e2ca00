"""The rounds of the compared methods, by hand: weights are numbers, training goes half way to the site's optimum."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from fedefm.errors import ConfigError, QuorumError
from fedefm.exchange.messages import CORRECTION, PREVIOUS, Assignment, Result, Stage, Task
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.methods.matcha import matching
from fedefm.exchange.methods.scaffold import corrections, rate_sum, variate
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import Topology, complete, from_edges, ring
from support.scripted_network import Floats, Network, Play, drift, fail_when, play

ABC = complete("abc")
GOAL = {"a": 1.0, "b": 10.0, "c": 100.0}
RATES = 4.0


class Trained(Network):
    """Hospitals also say how far their steps could go."""

    def _result(self, assignment: Assignment[Any]) -> Result[Any]:
        result = super()._result(assignment)
        if assignment.task.stage not in (Stage.LOCAL, Stage.OVERSEAS):
            return result
        return Result(result.task_id, result.weights, {**result.report, "rate_sum": RATES}, result.images)


def floats(method: str, rounds: int = 1, topology: Topology = ABC, **script: Any) -> Play:
    plan = Schedule(method, rounds, 4, 1, 2)
    return Play(plan, topology, Trained(script.pop("train", drift), **script), Floats())


def half(start: float, site: str) -> float:
    return (start + GOAL[site]) / 2


def local(run: Play, round_: int) -> dict[str, Mapping[str, float]]:
    return {a.task.site: a.models for a in run.network.asked if a.task.stage is Stage.LOCAL and a.task.round == round_}


def test_every_method_is_registered_under_its_own_name() -> None:
    assert all(method.name == name for name, method in REGISTRY.items())
    assert [m.name for m in REGISTRY.values() if m.travels] == ["fedefm"]
    assert [m.name for m in REGISTRY.values() if m.pooled] == ["pooled", "pooled_updates"]


@pytest.mark.parametrize("method", ["fedavg", "fedprox", "condist", "moon", "scaffold"])
def test_theta_is_the_mean_of_what_hospitals_make_of_theta(method: str) -> None:
    """With hospitals that ignore what comes along; their own tests say what they do with it."""
    run = floats(method, 2, train=lambda a: drift(Assignment(a.task, {"student": a.models["student"]})))
    first = (0.5 + 5 + 50) / 3
    assert run.coordinator.run(0.0).theta == pytest.approx((first + 37) / 2)
    assert {site: models["student"] for site, models in local(run, 1).items()} == pytest.approx(
        dict.fromkeys("abc", first)
    )


def test_fedavg_rate_passes_the_mean() -> None:
    plan = Schedule("fedavg_rate", 2, 4, 1, 2, server_rate=1.5)
    first = (0.5 + 5 + 50) / 3
    state = Play(plan, ABC, Network(drift), Floats()).coordinator.run(0.0)
    assert state.theta == pytest.approx(first + 1.5 * ((first + 37) / 2 - first))


def test_moon_sends_each_hospital_its_own_last_weights() -> None:
    run = floats("moon", 2, train=lambda a: half(a.models["student"], a.task.site))
    run.coordinator.run(0.0)
    assert all(set(models) == {"student"} for models in local(run, 0).values())
    assert {s: models[PREVIOUS] for s, models in local(run, 1).items()} == {"a": 0.5, "b": 5.0, "c": 50.0}


def test_moon_after_a_lost_round_has_no_weights_to_send() -> None:
    run = floats("moon", 2, fault=fail_when("lost", site="b", round=0, stage=Stage.LOCAL))
    run.network.train = lambda a: half(a.models["student"], a.task.site)
    run.coordinator.run(0.0)
    assert {site: set(models) - {"student"} for site, models in local(run, 1).items()} == {
        "a": {PREVIOUS}, "b": set(), "c": {PREVIOUS}
    }  # fmt: skip


def test_scaffold_by_hand() -> None:
    """c_i = (x - y_i) / S after the first round, c_i - c + (x - y_i) / S after the next; sent is c - c_i."""
    run = floats("scaffold", 2, train=lambda a: half(a.models["student"], a.task.site))
    run.coordinator.run(0.0)
    first, second = run.saved
    y = {"a": 0.5, "b": 5.0, "c": 50.0}
    c_i = {site: (0.0 - y[site]) / RATES for site in y}
    assert first.variates == pytest.approx(c_i)
    c = sum(c_i.values()) / 3
    assert {s: models[CORRECTION] for s, models in local(run, 1).items()} == pytest.approx({s: c - c_i[s] for s in c_i})
    x = first.theta
    assert second.variates == pytest.approx({s: c_i[s] - c + (x - half(x, s)) / RATES for s in c_i})
    assert second.theta == pytest.approx(sum(half(x, s) for s in c_i) / 3)


def test_scaffold_keeps_the_variate_of_a_hospital_that_did_not_answer() -> None:
    """Partial participation: c = mean over all N sites, and a site that never answered has zero."""
    run = floats("scaffold", 2, fault=fail_when("lost", site="b", stage=Stage.LOCAL))
    run.network.train = lambda a: half(a.models["student"], a.task.site)
    run.coordinator.run(0.0)
    first, second = run.saved
    assert set(first.variates) == set(second.variates) == {"a", "c"}
    ops = Floats()
    sent = corrections(ops, {"a": 3.0, "c": 6.0}, ("a", "b", "c"))
    assert {s: m[CORRECTION] for s, m in sent.items()} == pytest.approx({"a": 0.0, "b": 3.0, "c": -3.0})
    assert corrections(ops, {}, ("a",)) == {}
    assert variate(ops, 8.0, 2.0, None, 4.0) == pytest.approx(1.5)
    assert variate(ops, 8.0, 2.0, 0.5, 4.0) == pytest.approx(1.0)


@pytest.mark.parametrize("value", [None, "much", 0, -1.0, math.nan, math.inf, [1]])
def test_scaffold_takes_no_rates_that_are_no_number(value: Any) -> None:
    assert rate_sum({"rate_sum": value}) is None and rate_sum({}) is None


def test_ring_averages_with_the_two_beside() -> None:
    topology = ring("abcd")
    run = floats("ring", 2, topology, train=lambda a: {"a": 1.0, "b": 10.0, "c": 100.0, "d": 1000.0}[a.task.site])
    state = run.coordinator.run(0.0)
    assert run.saved[0].silos == pytest.approx({"a": 1011 / 3, "b": 111 / 3, "c": 1110 / 3, "d": 1101 / 3})
    assert state.theta == pytest.approx(1111 / 4)  # gossip keeps the mean
    assert {s: m["student"] for s, m in local(run, 1).items()} == pytest.approx(run.saved[0].silos)


def test_ring_leaves_out_who_did_not_answer() -> None:
    run = floats("ring", 1, ABC, fault=fail_when("lost", site="b", stage=Stage.LOCAL))
    assert run.coordinator.run(0.0).silos == pytest.approx({"a": 25.25, "b": 0.0, "c": 25.25})


def test_ring_needs_a_ring() -> None:
    with pytest.raises(ConfigError, match="no ring"):
        floats("ring", 1, from_edges("abc", [("a", "b")])).coordinator.run(0.0)


def test_matcha_averages_pairs() -> None:
    run = floats("matcha", 1, complete("abcd"), train=lambda a: float("abcd".index(a.task.site)))
    state = run.coordinator.run(0.0)
    pairs = matching(complete("abcd"), 0, 0)
    own = {site: float("abcd".index(site)) for site in "abcd"}
    assert state.silos == pytest.approx({site: (own[site] + own[pairs[site]]) / 2 for site in "abcd"})
    assert state.theta == pytest.approx(1.5)


def test_a_matching_is_a_matching_of_the_topology_and_random() -> None:
    topology = ring("abcdefghijk")
    found = [matching(topology, seed, k) for seed in range(3) for k in range(40)]
    for pairs in found:
        assert all(pairs[pairs[i]] == i and pairs[i] in topology.neighbours(i) for i in pairs)
        alone = [i for i in topology.sites if i not in pairs]
        assert not any(j in alone for i in alone for j in topology.neighbours(i))  # maximal
    assert len({tuple(sorted(pairs.items())) for pairs in found}) > 20
    assert matching(topology, 1, 2) == matching(topology, 1, 2) != matching(topology, 2, 2)
    met = {(i, j) for pairs in found for i, j in pairs.items()}
    assert len(met) == 22  # every edge has its turn


def test_cyclic_hands_one_model_round() -> None:
    run = floats("cyclic", 2)
    state = run.coordinator.run(0.0)
    weights, at = 0.0, []
    for _ in range(2):
        for site in "abc":
            weights = half(weights, site)
            at.append(weights)
    assert state.theta == weights and state.silos == dict(zip("abc", at[3:], strict=True))


def test_cyclic_passes_over_who_fails() -> None:
    run = floats("cyclic", 1, fault=fail_when("lost", site="b"))
    assert run.coordinator.run(0.0).theta == half(half(0.0, "a"), "c")
    with pytest.raises(QuorumError):
        floats("cyclic", 1, fault=lambda task: "lost" if task.stage is Stage.LOCAL else None).coordinator.run(0.0)


def test_pooled_training_is_one_task_and_its_result_is_theta() -> None:
    run = floats("pooled", 3)
    state = run.coordinator.run(0.0)
    [task] = run.network.tasks(Stage.LOCAL)
    assert task.steps == 4 + 3 * (2 * 1 + 2) and task.progress == (0.0, 1.0)
    assert state.theta == half(0.0, "a") and state.round == 1 and not state.trained
    evaluated = [a.models for a in run.network.asked if a.task.stage is Stage.EVALUATE]
    assert evaluated == [{"theta": state.theta}] * 3


def test_teachers_at_home_are_the_neighbours_last_weights() -> None:
    """Who has not trained yet teaches nobody; the steps of the visits are taken at home."""
    run = floats("at_home", 2)
    run.coordinator.run(0.0)
    distilled = [a for a in run.network.asked if a.task.stage is Stage.DISTIL]
    assert [set(a.models) - {"student"} for a in distilled] == [
        set(), {"a"}, {"a", "b"}, {"a", "c"}, {"a", "b"}, {"b", "c"}
    ]  # fmt: skip
    assert all(set(a.task.teachers) == set(a.models) - {"student"} for a in distilled)
    assert {a.task.steps for a in distilled} == {2 + 2 * 1} and not run.network.tasks(Stage.OVERSEAS)
    b_in_round_1 = next(a for a in distilled if a.task.round == 1 and a.task.site == "b")
    assert b_in_round_1.models["c"] == run.saved[0].silos["c"]


def test_turns_alone_have_no_teacher() -> None:
    run = floats("turns", 2)
    run.coordinator.run(0.0)
    assert all(set(a.models) == {"student"} for a in run.network.asked if a.task.stage is Stage.DISTIL)
    assert not run.network.tasks(Stage.OVERSEAS)


def test_pooled_updates_are_those_of_all_hospitals_together() -> None:
    run = floats("pooled_updates", 3)
    run.coordinator.run(0.0)
    [task] = run.network.tasks(Stage.LOCAL)
    assert task.steps == 3 * (4 + 3 * (2 * 1 + 2))


def test_without_its_one_task_pooled_training_publishes_nothing() -> None:
    def fault(task: Task) -> str | None:
        return "lost" if task.stage is Stage.LOCAL else None

    with pytest.raises(QuorumError, match="no global model"):
        floats("pooled", fault=fault).coordinator.run(0.0)


@pytest.mark.parametrize("method", sorted(REGISTRY))
def test_bytes_that_a_round_moves(method: str) -> None:
    """The equal-bytes comparison stands on these counts of models through the server."""
    run = play(Schedule(method, 2, 4, 1, 2), complete("abcd"))
    run.coordinator.run("start")
    moved = sum(e.bytes for e in run.events if getattr(e, "bytes", 0) and e.stage is not Stage.EVALUATE)
    n = 4
    by_hand = {
        "fedefm": 2 * n + 2 * (2 * n * (n - 1) + n * n + n + n * (n - 1)),  # all annotate all: all are compared
        "at_home": 2 * n + (0 + 1 + 2 + 3) + n * (n - 1) + 2 * (2 * n + n * (n - 1)),  # who was trained teaches
        "turns": 2 * n + 2 * (2 * n + n * (n - 1)),
        "moon": 2 * n + 3 * n,  # the last weights come along from the second round on
        "lone": 2 * n,
        "pooled": 2,
        "pooled_updates": 2,
    }.get(method, 2 * 2 * n)
    assert moved == by_hand
