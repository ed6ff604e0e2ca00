import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedefm.errors import QuorumError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import SilosRated, StageEnded, StageStarted, TaskDone
from fedefm.exchange.groups import rows
from fedefm.exchange.messages import THETA, TRAINING, Assignment, Stage, Task
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import ORDERS, Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import complete, from_edges, ring
from support.scripted_network import CLASSES, FAULTS, Floats, Ledger, Network, Play, drift, fail_when, play

ABC = complete("abc")
METHODS = tuple(REGISTRY)
REFUSED = [fault for fault in FAULTS if fault != "twice"]


def plan_of(method: str = "fedefm", **values: Any) -> Schedule:
    """A schedule as the paper has it: nothing flows back from Theta, which is the even mean, unless a test says so."""
    paper = {"theta_mixing": 0.0, "server_rate": 1.0, "order": "parallel", "reputation_limit": 0.0}
    return Schedule(method, **paper | values)


def floats(plan: Schedule, **script: Any) -> Play:
    return Play(plan, ABC, Network(drift, **script), Floats())


# The rounds, by hand


def test_one_round_of_fedefm_by_hand() -> None:
    """theta_i = mean(own, experts) after local training from 0 to half the optimum."""
    state = floats(plan_of(rounds=1)).coordinator.run(0.0)
    own = {"a": 0.5, "b": 5.0, "c": 50.0}
    goal = {"a": 1.0, "b": 10.0, "c": 100.0}
    silos = {i: (own[i] + sum((own[i] + goal[j]) / 2 for j in goal if j != i)) / 3 for i in own}
    assert state.silos == pytest.approx(silos)
    assert state.theta == pytest.approx(sum(silos.values()) / 3)


def test_theta_goes_beyond_the_mean_from_the_second_round_on() -> None:
    """Without experts a round is the mean of the silos, which stand at 18.5 and then do not move."""
    lonely = from_edges("abc", [])
    one, two = (
        Play(plan_of(rounds=2, server_rate=rate, theta_mixing=1.0), lonely, Network(drift), Floats()).coordinator
        for rate in (1.0, 2.0)
    )
    first = one.one_round(one.prepare(RoundState(0, dict.fromkeys("abc", 0.0))))
    state = replace(first, theta=10.0)
    assert one.operations.aggregate(state, frozenset("abc")).theta == pytest.approx(18.5)
    assert two.operations.aggregate(state, frozenset("abc")).theta == pytest.approx(10 + 2 * 8.5)
    assert two.operations.aggregate(replace(state, theta=None), frozenset("abc")).theta == pytest.approx(18.5)


def test_baselines_keep_the_mean() -> None:
    rates = {name: method.server_rate_of(Schedule(name, server_rate=2.0)) for name, method in REGISTRY.items()}
    assert rates == dict.fromkeys(METHODS, 1.0) | dict.fromkeys(("fedefm", "at_home", "turns", "fedavg_rate"), 2.0)


def test_fedavg_starts_every_round_from_the_mean() -> None:
    state = floats(plan_of("fedavg", rounds=2)).coordinator.run(0.0)
    first = (0.5 + 5 + 50) / 3
    assert state.theta == pytest.approx((first + 37) / 2)
    assert state.silos == pytest.approx({"a": (first + 1) / 2, "b": (first + 10) / 2, "c": (first + 100) / 2})


def test_fedavg_by_images() -> None:
    images = {"a": 1, "b": 2, "c": 7}
    state = floats(plan_of("fedavg", rounds=1, weigh_by_images=True), images=images).coordinator.run(0.0)
    assert state.theta == pytest.approx((0.5 * 1 + 5 * 2 + 50 * 4) / 7)  # no count weighs more than twice the median's


def test_lone_models_never_meet() -> None:
    run = floats(plan_of("lone", rounds=5))
    state = run.coordinator.run(0.0)
    assert state.theta is None
    assert state.silos == {"a": 0.5, "b": 5.0, "c": 50.0}
    assert not run.network.tasks(Stage.OVERSEAS) and not run.network.tasks(Stage.DISTIL)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_theta_mixing_lets_theta_flow_back(share: float) -> None:
    plan = plan_of(rounds=2, theta_mixing=share)
    run = floats(plan)
    run.coordinator.run(0.0)
    before = run.saved[0]
    visits = [a for a in run.network.asked if a.task.stage is Stage.OVERSEAS and a.task.round == 1]
    for visit in visits:
        silo = before.silos[visit.task.visitor]
        assert visit.models["student"] == pytest.approx((1 - share) * silo + share * before.theta)


def test_a_lone_comparison_starts_at_the_start_and_changes_nothing() -> None:
    with_lone, without = floats(plan_of(rounds=2, compare_lone=True)), floats(plan_of(rounds=2))
    assert with_lone.coordinator.run(0.0) == without.coordinator.run(0.0)
    lone = [a for a in with_lone.network.asked if a.task.stage is Stage.LONE]
    assert [a.task.site for a in lone] == ["a", "b", "c"] and all(a.models == {"student": 0.0} for a in lone)


def test_every_model_is_measured_everywhere() -> None:
    run = floats(plan_of(rounds=2))
    state = run.coordinator.run(0.0)
    evaluated = [a for a in run.network.asked if a.task.stage is Stage.EVALUATE]
    assert [a.task.site for a in evaluated] == ["a", "b", "c"]
    assert all(a.models == {THETA: state.theta, **state.silos} for a in evaluated)


# Turns


def test_one_round_of_turns_by_hand() -> None:
    """Each silo starts from what the one before it returned; without neighbours a turn is half a step to an optimum."""
    lonely, plan = from_edges("abc", []), plan_of(rounds=1, order="sequential", theta_mixing=1.0)
    state = Play(plan, lonely, Network(drift), Floats()).coordinator.run(0.0)
    assert state.silos == pytest.approx({"a": 0.5, "b": (0.5 + 10) / 2, "c": (5.25 + 100) / 2})
    assert state.theta == pytest.approx((0.5 + 5.25 + 52.625) / 3)


def test_experts_of_a_turn_start_from_the_silo_before() -> None:
    run = play(plan_of(rounds=2, order="sequential", theta_mixing=1.0), ABC)
    final = run.coordinator.run("start")
    order = [(k, i) for k, turn in ((0, "abc"), (1, "bca")) for i in turn]
    assert [(t.round, t.site) for t in run.network.tasks(Stage.DISTIL)] == order
    first = run.saved[0]
    distilled = {
        (a.task.round, a.task.site): run.ops.train(a) for a in run.network.asked if a.task.stage is Stage.DISTIL
    }
    before = {(1, "b"): first.theta, (1, "c"): distilled[1, "b"], (1, "a"): distilled[1, "c"]}
    for visit in (a for a in run.network.asked if a.task.stage is Stage.OVERSEAS and a.task.round == 1):
        assert visit.models == {"student": before[1, visit.task.visitor]}
    assert run.ops.parents(final.theta) == {i: distilled[1, i] for i in "abc"}


def test_a_turn_that_fails_is_passed_over() -> None:
    fault = fail_when("lost", stage=Stage.DISTIL, site="b", round=0)
    run = play(plan_of(rounds=1, order="sequential", theta_mixing=1.0), ABC, fault=fault)
    state = run.coordinator.run("start")
    assert set(run.ops.parents(state.theta)) == {"a", "c"}
    [local] = [a for a in run.network.asked if a.task.stage is Stage.LOCAL and a.task.site == "c"]
    assert local.models == {"student": state.silos["a"]}


@pytest.mark.parametrize("order", ORDERS)
def test_a_host_that_refuses_all_visitors_still_trains_at_home(order: str) -> None:
    def refuses(task: Task) -> str | None:
        return "lost" if task.site == "c" and task.stage is Stage.OVERSEAS else None

    run = play(plan_of(rounds=6, max_misses=2, order=order, theta_mixing=1.0), ABC, fault=refuses)
    run.coordinator.run("start")
    assert {t.round for t in run.network.tasks(Stage.DISTIL) if t.site == "c"} == set(range(6))
    assert len(run.losses) == 6 * 2  # two visitors a round


@pytest.mark.parametrize("dies", ["a", "b", "c"])
def test_a_dead_site_is_given_up_while_silos_take_turns(dies: str) -> None:
    def dead(task: Task) -> str | None:
        return "silent" if task.site == dies and (task.stage, task.round) != (Stage.PREPARE, 0) else None

    run = play(plan_of(rounds=6, max_misses=2, order="sequential", theta_mixing=1.0), ABC, fault=dead)
    state = run.coordinator.run("start")
    asked = [a.task for a in run.network.asked if a.task.site == dies]
    assert max(task.round for task in asked if task.stage is not Stage.PREPARE) <= 1
    assert sum(task.stage is not Stage.PREPARE for task in asked) <= 3
    assert [t.round for t in asked if t.stage is Stage.PREPARE][-4:] == [2, 3, 4, 5]  # whether it is back
    assert set(run.ops.parents(state.theta)) == set("abc") - {dies}


def test_turns_change_no_task_but_its_order_and_weights() -> None:
    parallel, turns = (play(plan_of(rounds=3, order=order, theta_mixing=1.0), ABC) for order in ORDERS)
    for run in (parallel, turns):
        run.coordinator.run("start")
    tasks = [sorted((a.task for a in run.network.asked), key=lambda task: task.id) for run in (parallel, turns)]
    assert tasks[0] == tasks[1]


def test_groups_take_their_turns_side_by_side_each_from_its_own_silo_before() -> None:
    corpora = {"a": ["catheter"], "b": ["catheter"], "c": ["guidewire"], "d": ["guidewire"]}
    plan = plan_of(rounds=1, order="sequential", theta_mixing=1.0, groups=2)
    run = play(plan, from_edges("abcd", []), corpora=corpora)
    final = run.coordinator.run("start")
    stages = [e.tasks for e in run.events if isinstance(e, StageStarted) and e.stage is Stage.DISTIL]
    assert stages == [2, 2]
    before = {
        a.task.site: a.models["student"] for a in run.network.asked if a.task.stage is Stage.LOCAL
    }  # without teachers or reputation a silo starts from what the one before it became
    begin = sorted(silo for silo, weights in before.items() if weights == "start")
    follow = {silo: next(i for i, w in final.silos.items() if w == before[silo]) for silo in set("abcd") - {*begin}}
    pairs = {frozenset(pair) for pair in follow.items()}
    assert len(begin) == 2 and set().union(*pairs) == set("abcd")
    assert all({corpora[silo][0] for silo in pair} == {"catheter", "guidewire"} for pair in pairs)
    assert set(run.ops.parents(final.theta)) == set("abcd")


def test_as_many_groups_as_silos_are_silos_that_work_at_the_same_time() -> None:
    numbers = {"rounds": 2, "theta_mixing": 1.0, "reputation_limit": 0.5}
    plans = plan_of(order="sequential", groups=3, **numbers), plan_of(order="parallel", **numbers)
    one, other = (play(plan, ABC).coordinator.run("start") for plan in plans)
    assert one == other


def test_a_silo_that_fails_its_turn_is_passed_over_in_its_own_group() -> None:
    plan = plan_of(rounds=2, order="sequential", theta_mixing=1.0, groups=2)
    (first, second, third), other = rows(plan, "abcdef", dict.fromkeys("abcdef", CLASSES), "abcdef", 1)
    run = play(plan, complete("abcdef"), fault=fail_when("lost", stage=Stage.DISTIL, site=first, round=1))
    final = run.coordinator.run("start")
    sent = {a.task.site: a.models["student"] for a in run.network.asked if a.task.id.startswith("1/distil")}
    theta = run.saved[0].theta
    assert [sent[silo] for silo in (first, second, other[0])] == [theta] * 3
    assert sent[third] == final.silos[second] and sent[other[1]] == final.silos[other[0]]


# Reputation

TURNS = {"order": "sequential", "theta_mixing": 1.0, "reputation_limit": 0.5}


def sees_less(silo: str, share: float) -> Callable[[Task], Mapping[str, Any]]:
    """All hosts find all silos alike but one, of whose classes they find a share."""
    return lambda task: dict.fromkeys(("catheter", "guidewire"), 0.6 * (share if task.visitor == silo else 1))


def test_a_silo_is_assessed_where_it_can_be_compared_before_it_is_passed_on() -> None:
    corpora = {"a": ["catheter"], "b": ["catheter"], "c": ["catheter"], "d": ["guidewire"]}
    run = play(plan_of(rounds=1, **TURNS), complete("abcd"), corpora=corpora)
    run.coordinator.run("start")
    assert [t.id for t in run.network.tasks(Stage.ASSESS)] == [
        f"0/assess/{i}@{j}" for i in "abc" for j in "abc" if i != j
    ]
    order = [a.task.id for a in run.network.asked]
    assert order.index("0/distil/a@a") < order.index("0/assess/a@b") < order.index("0/local/b@b")


@pytest.mark.parametrize(("limit", "third"), [(0.0, "catheter"), (0.5, "guidewire")])
def test_without_a_limit_or_three_that_annotate_a_class_nobody_is_assessed(limit: float, third: str) -> None:
    corpora = {"a": ["catheter"], "b": ["catheter"], "c": [third]}
    run = play(plan_of(rounds=2, **TURNS | {"reputation_limit": limit}), ABC, corpora=corpora)
    state = run.coordinator.run("start")
    assert not run.network.tasks(Stage.ASSESS) and not state.agreement
    assert all(set(task.reputation.values()) <= {1.0} for task in run.network.tasks(Stage.DISTIL))


@pytest.mark.parametrize(("share", "kept"), [(1.0, 1.0), (0.5, 1.0), (0.375, 0.5), (0.25, 0.0), (0.0, 0.0)])
def test_a_silo_counts_by_its_reputation_as_start_as_teacher_and_in_theta(share: float, kept: float) -> None:
    run = play(plan_of(rounds=2, **TURNS), ABC, agreement=sees_less("b", share))
    final = run.coordinator.run("start")
    first, ops = run.saved[0], run.ops
    [taught] = [a for a in run.network.asked if a.task.id == "1/distil/c@c"]  # round 1 begins with b
    passed = final.silos["b"] if kept == 1 else ops.interpolate(first.theta, final.silos["b"], kept)
    assert taught.models["student"] == ops.interpolate(first.silos["c"], passed, 1.0)
    assert ops.made[final.theta][0] == f"mean {[('a', 1.0), ('b', kept), ('c', 1.0)]}"
    told = {(t.round, t.site): t.reputation["b"] for t in run.network.tasks(Stage.DISTIL) if t.site != "b"}
    assert told == pytest.approx(
        {(0, "a"): 1.0, (0, "c"): 1.0, (1, "c"): kept, (1, "a"): kept}  # one host alone convicts nobody
    )
    rated = [e.reputation for e in run.events if isinstance(e, SilosRated)]
    assert rated == [{"a": 1.0, "b": pytest.approx(kept), "c": 1.0}] * 2


def test_a_silo_that_mends_its_labels_counts_again() -> None:
    def mended(task: Task) -> Mapping[str, Any]:
        return sees_less("b", 0.0 if task.round == 0 else 1.0)(task)

    run = play(plan_of(rounds=2, **TURNS), ABC, agreement=mended)
    run.coordinator.run("start")
    assert [e.reputation["b"] for e in run.events if isinstance(e, SilosRated)] == [0.0, 1.0]


def test_theta_stays_where_nobody_has_any_reputation() -> None:
    """Three silos, each of which the hosts at some moment find far worse than another."""
    run = floats(plan_of(rounds=1, **TURNS))
    server = run.coordinator.operations
    state = run.coordinator.prepare(RoundState(0, dict.fromkeys("abc", 1.0)))
    alike = {"catheter": {"a": 0.0, "b": 0.9}, "guidewire": {"a": 0.9, "b": 0.0}}
    none = replace(state, agreement={"c": alike, "d": alike})
    assert server.reputations(none, "ab") == {"a": 0.0, "b": 0.0}
    assert server.shares(none, "ab") == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    "agreement", [None, [0.5], {"catheter": 1.5}, {"catheter": -0.1}, {"catheter": True}, {"catheter": math.nan}]
)
def test_a_wrong_agreement_is_refused_and_rates_nobody(agreement: Any) -> None:
    def lies(task: Task) -> Any:
        return agreement if task.site == "a" else {"catheter": 0.5}

    run = play(plan_of(rounds=1, **TURNS), ABC, agreement=lies)
    state = run.coordinator.run("start")
    assert {(lost.site, lost.stage) for lost in run.losses} == {("a", Stage.ASSESS)} and len(run.losses) == 2
    assert set(state.agreement) == {"b", "c"} and not state.misses


HALF_SHARED = {
    "corpora": {"a": ("catheter", "guidewire"), "b": ("catheter",), "c": ("catheter",)},
    "agreement": lambda task: {"catheter": 0.5, "guidewire": 1.0},
}


def test_what_a_host_says_of_classes_that_are_not_shared_counts_nothing() -> None:
    run = play(plan_of(rounds=1, **TURNS), ABC, **HALF_SHARED)
    state = run.coordinator.run("start")
    assert {name for classes in state.agreement.values() for name in classes} == {"catheter"}


# Who visits whom, and when


@pytest.mark.parametrize(
    "topology", [complete("abcd"), ring("abcde"), from_edges("abc", [("a", "b"), ("c", "b")], directed=True)]
)
def test_each_visit_happens_once_a_round(topology: Any) -> None:
    run = play(plan_of(rounds=3), topology)
    run.coordinator.run("start")
    visits = Counter((t.round, t.visitor, t.site) for t in run.network.tasks(Stage.OVERSEAS))
    edges = [(i, j) for i in topology.sites for j in topology.neighbours(i)]
    assert visits == Counter((k, i, j) for k in range(3) for i, j in edges)


def test_local_training_comes_once_and_before_any_visit() -> None:
    run = play(plan_of(rounds=3), ABC, fault=fail_when("lost", stage=Stage.LOCAL, site="b", round=0))
    run.coordinator.run("start")
    trained: set[str] = set()
    for task in (a.task for a in run.network.asked):
        if task.stage is Stage.LOCAL and not (task.site == "b" and task.round == 0):
            assert task.site not in trained
            trained.add(task.site)
        if task.stage in (Stage.OVERSEAS, Stage.DISTIL):
            assert task.visitor in trained
    assert trained == set("abc")


def test_the_teacher_corpora_are_those_that_the_hosts_named() -> None:
    corpora = {"a": ["catheter"], "b": ["guidewire"], "c": ["catheter", "guidewire"]}
    run = play(plan_of(rounds=1), ABC, corpora=corpora)
    run.coordinator.run("start")
    for task in run.network.tasks(Stage.DISTIL):
        assert task.teachers == {host: tuple(corpora[host]) for host in "abc" if host != task.site}


# Order of arrival


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["fedefm", "fedavg"]))
def test_the_order_of_arrival_changes_nothing(seed: int, method: str) -> None:
    plan = plan_of(method, rounds=2, weigh_by_images=True)
    tidy, mixed = play(plan, complete("abcd")), play(plan, complete("abcd"), shuffle=random.Random(seed))
    assert tidy.coordinator.run("start") == mixed.coordinator.run("start")
    asked = [[(a.task, list(a.models.items())) for a in run.network.asked] for run in (tidy, mixed)]
    assert asked[0] == asked[1]


# Faults


@pytest.mark.parametrize("fault", REFUSED)
def test_a_lost_or_refused_expert_is_routed_around_and_named(fault: str) -> None:
    visit = {"stage": Stage.OVERSEAS, "visitor": "a", "site": "b", "round": 0}
    run = play(plan_of(rounds=2), ABC, fault=fail_when(fault, **visit))
    run.coordinator.run("start")
    teachers = {(t.round, t.site): set(t.teachers) for t in run.network.tasks(Stage.DISTIL)}
    assert teachers == {(k, i): set("abc") - {i} for k in (0, 1) for i in "abc"} | {(0, "a"): {"c"}}
    [lost] = run.losses
    assert (lost.site, lost.visitor, lost.stage, lost.round) == ("b", "a", Stage.OVERSEAS, 0)
    assert lost.reason and "\n" not in lost.reason


@pytest.mark.parametrize(
    ("fault", "told"), [("bad weights", "NaN"), ("no weights", "no weights"), ("stale", "stale"), ("lost", "cable")]
)
def test_a_loss_gives_its_reason(fault: str, told: str) -> None:
    run = play(plan_of(rounds=1), ABC, fault=fail_when(fault, stage=Stage.DISTIL, site="c"))
    run.coordinator.run("start")
    assert [lost.site for lost in run.losses] == ["c"] and told in run.losses[0].reason


def test_a_second_answer_never_replaces_the_first() -> None:
    honest, doubled = play(plan_of(rounds=2), ABC), play(plan_of(rounds=2), ABC, fault=lambda task: "twice")
    assert doubled.coordinator.run("start") == honest.coordinator.run("start")
    done = Counter(event.task.id for event in doubled.events if isinstance(event, TaskDone))
    assert set(done.values()) == {1} and len(done) == len(doubled.network.asked)
    assert {lost.site for lost in doubled.losses} == set("abc")


def test_an_answer_to_no_question_is_ignored() -> None:
    class Pushy(Network):
        def perform(self, assignments: Any) -> Any:
            yield from super().perform(assignments)
            task = replace(assignments[0].task, round=99)
            yield task, self._result(Assignment(task, {"student": "rogue"}))

    ledger = Ledger()
    pushy = Play(plan_of(rounds=2), ABC, Pushy(ledger.train), ledger)
    assert pushy.coordinator.run("start") == play(plan_of(rounds=2), ABC).coordinator.run("start")
    assert pushy.losses and all(lost.round == 99 for lost in pushy.losses)


def test_a_silo_that_missed_distillation_is_not_in_this_theta() -> None:
    run = play(plan_of(rounds=2), ABC, fault=fail_when("lost", stage=Stage.DISTIL, site="b", round=0))
    run.coordinator.run("start")
    assert [set(run.ops.parents(state.theta)) for state in run.saved] == [{"a", "c"}, {"a", "b", "c"}]


@pytest.mark.parametrize("max_misses", [1, 2, 3])
def test_a_dead_site_gets_no_more_work(max_misses: int) -> None:
    def dead(task: Task) -> str | None:
        return "lost" if task.site == "c" and (task.stage is not Stage.PREPARE or task.round) else None

    run = play(plan_of(rounds=6, max_misses=max_misses), ABC, fault=dead)
    state = run.coordinator.run("start")
    stages = [(e.round, e.stage) for e in run.events if isinstance(e, StageStarted)]
    asked = {(a.task.round, a.task.stage) for a in run.network.asked if a.task.site == "c"} - {(0, Stage.PREPARE)}
    work = {(round_, stage) for round_, stage in asked if stage is not Stage.PREPARE}
    assert len(work) == max_misses == len([s for s in stages if s in work])
    assert state.misses == {"c": max_misses + len(asked - work)} and state.round == 6  # asked whether it is back


def test_one_good_stage_forgives() -> None:
    def flaky(task: Task) -> str | None:
        return "lost" if task.site == "c" and task.stage is Stage.OVERSEAS else None

    run = play(plan_of(rounds=4, max_misses=2), ABC, fault=flaky)
    run.coordinator.run("start")
    assert {t.round for t in run.network.tasks(Stage.DISTIL) if t.site == "c"} == {0, 1, 2, 3}


def test_a_site_that_never_prepared_gets_no_work_at_all() -> None:
    run = play(plan_of(rounds=2), ABC, fault=fail_when("lost", stage=Stage.PREPARE, site="a"))
    state = run.coordinator.run("start")
    assert {a.task.stage for a in run.network.asked if "a" in (a.task.site, a.task.visitor)} == {Stage.PREPARE}
    assert state.silos["a"] == "start" and "a" not in state.trained


@pytest.mark.parametrize("corpus", [[], ["stent"], "catheter", [1], None, {"catheter": 1}])
def test_a_wrong_label_corpus_is_refused(corpus: Any) -> None:
    class Odd(Network):
        def _result(self, assignment: Assignment[str]) -> Any:
            result = super()._result(assignment)
            odd = assignment.task.site == "b" and assignment.task.stage is Stage.PREPARE
            return replace(result, report={"corpus": corpus}) if odd else result

    ledger = Ledger()
    run = Play(plan_of(rounds=1), ABC, Odd(ledger.train), ledger)
    state = run.coordinator.run("start")
    assert [lost.site for lost in run.losses] == ["b"] and set(state.corpora) == {"a", "c"}


# Quorum


@pytest.mark.parametrize("stage", [Stage.PREPARE, Stage.LOCAL, Stage.DISTIL])
def test_below_the_quorum_nothing_is_published(stage: Stage) -> None:
    def two_dead(task: Task) -> str | None:
        return "lost" if task.site in "bc" and task.stage is stage else None

    run = play(plan_of(rounds=2, min_sites=2), ABC, fault=two_dead)
    with pytest.raises(QuorumError, match="no global model") as caught:
        run.coordinator.run("start")
    assert "\n" not in str(caught.value) and not run.saved
    assert not run.network.tasks(Stage.EVALUATE)


def test_exactly_the_quorum_is_enough() -> None:
    run = play(plan_of(rounds=2, min_sites=2), ABC, fault=fail_when("lost", stage=Stage.DISTIL, site="c"))
    run.coordinator.run("start")
    assert [set(run.ops.parents(state.theta)) for state in run.saved] == [{"a", "b"}] * 2


def test_when_all_die_the_run_ends() -> None:
    run = play(plan_of("fedavg", rounds=9), ABC, fault=lambda task: None if task.round < 3 else "lost")
    with pytest.raises(QuorumError, match="round 3"):
        run.coordinator.run("start")
    assert [state.round for state in run.saved] == [1, 2, 3]


# Events


def test_stages_open_and_close_in_order_and_count_what_moved() -> None:
    run = play(plan_of(rounds=2, compare_lone=True), ABC)
    run.coordinator.run("start")
    opened = [(e.round, e.stage) for e in run.events if isinstance(e, StageStarted)]
    moved = {(e.round, e.stage): e.bytes for e in run.events if isinstance(e, StageEnded)}
    a_round = [Stage.OVERSEAS, Stage.DISTIL, Stage.AGGREGATE]
    assert opened == [
        (0, Stage.PREPARE), (0, Stage.LOCAL), *((0, s) for s in a_round),
        *((1, s) for s in a_round), (2, Stage.LONE), (2, Stage.EVALUATE),
    ]  # fmt: skip
    assert list(moved) == opened
    assert moved[0, Stage.OVERSEAS] == 2 * 6  # six visitors out, six experts back, a byte each
    assert moved[0, Stage.DISTIL] == 3 * (1 + 2) + 3  # a student and two experts out, the student back
    assert moved[2, Stage.EVALUATE] == 3 * 4  # Theta and three silos out to each


# Resume


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(method: str, stop: int, order: str) -> None:
    plan = plan_of(method, rounds=4, theta_mixing=0.5, order=order)
    whole = play(plan, ABC)
    final = whole.coordinator.run("start")
    rest = play(plan, ABC)
    committed = whole.saved[min(stop, whole.rules.rounds_of(plan)) - 1]
    assert rest.coordinator.run("start", resume=committed) == final
    assert min((t.round for t in rest.network.tasks(Stage.LOCAL)), default=9) >= committed.round
    assert [state.round for state in rest.saved] == list(range(committed.round + 1, whole.rules.rounds_of(plan) + 1))


def test_a_dead_site_may_come_back_on_resume() -> None:
    plan = plan_of(rounds=3, max_misses=1)
    broken = play(plan, ABC, fault=fail_when("lost", site="c", round=0, stage=Stage.DISTIL))
    broken.coordinator.run("start")
    again = play(plan, ABC)
    state = again.coordinator.run("start", resume=broken.saved[0])
    assert "c" in {t.site for t in again.network.tasks(Stage.DISTIL)} and not state.misses


# Any failures at all


def check_history(run: Play, before: RoundState[str], after: RoundState[str], worked: list[str]) -> None:
    """The state after a round holds exactly the work that succeeded in it, each piece once."""
    ledger, k = run.ops, before.round
    start = before.silos
    if before.theta is not None:
        start = {s: ledger.interpolate(w, before.theta, run.rules.mixing_of(run.plan)) for s, w in start.items()}
    ids = Counter(worked)
    assert after.round == k + 1 and not [i for i, n in ids.items() if n > 1]
    for site in run.topology.sites:
        own = [f"{k}/{stage}/{site}@{site}" for stage in (Stage.LOCAL, Stage.DISTIL)]
        assert ledger.lineage(after.silos[site]) == [*ledger.lineage(start[site]), *(i for i in own if i in ids)]
        if own[1] in ids:
            experts = {host: w for host, w in ledger.parents(after.silos[site]).items() if host != "student"}
            assert {f"{k}/overseas/{site}@{h}" for h in experts} == {
                i for i in ids if i.startswith(own_visits(k, site))
            }
            assert all(ledger.lineage(w)[-1] == f"{k}/overseas/{site}@{host}" for host, w in experts.items())
    took_part = {site for site in run.topology.sites if f"{k}/distil/{site}@{site}" in ids}
    assert ledger.parents(after.theta) == {site: after.silos[site] for site in took_part}


def own_visits(round_: int, site: str) -> str:
    return f"{round_}/overseas/{site}@"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.data())
def test_under_random_faults_every_round_counts_once_and_whole(
    seed: int, share: float, min_sites: int, count: int, max_misses: int, data: st.DataObject
) -> None:
    source = random.Random(seed)

    def fault(task: Task) -> str | None:
        return source.choice(FAULTS) if source.random() < share else None

    topology = ring([f"s{k}" for k in range(count)])
    mixing = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    plan = plan_of(rounds=4, min_sites=min_sites, max_misses=max_misses, theta_mixing=mixing)
    run = play(plan, topology, fault=fault, shuffle=random.Random(seed))
    try:
        final = run.coordinator.run("start")
    except QuorumError:
        final = None
    before = RoundState(0, dict.fromkeys(topology.sites, "start"))
    for state in run.saved:
        worked = [i for i in run.network.worked if i.startswith(f"{before.round}/") and "prepare" not in i]
        check_history(run, before, state, worked)
        assert len(run.ops.parents(state.theta)) >= min_sites
        before = state
    assert final is None or (before.round, before.theta) == (4, final.theta)


class Rounds(RuleBasedStateMachine):
    """A server that plays rounds, crashes and resumes, with sites that come and go."""

    @initialize(
        count=st.integers(2, 4),
        max_misses=st.integers(1, 3),
        method=st.sampled_from(["fedefm", "at_home", "turns", "fedavg"]),
        order=st.sampled_from(ORDERS),
        groups=st.integers(1, 3),
        mixing=st.sampled_from([0.0, 1.0]),
    )
    def begin(self, count: int, max_misses: int, method: str, order: str, groups: int, mixing: float) -> None:
        self.down: set[str] = set()
        self.sites = [f"s{k}" for k in range(count)]
        numbers = {"rounds": 50, "min_sites": 1, "max_misses": max_misses, "reputation_limit": 0.5}
        plan = plan_of(method, order=order, groups=groups, theta_mixing=mixing, **numbers)
        self.run = play(plan, complete(self.sites), fault=self.fault)
        self.saved = RoundState(0, dict.fromkeys(self.sites, "start"))
        self.rounds = 0
        self.restart()

    def fault(self, task: Task) -> str | None:
        return "lost" if task.site in self.down and task.stage is not Stage.PREPARE else None

    def restart(self) -> None:
        self.server: Coordinator[str] = self.run.coordinator
        self.state = self.server.prepare(self.saved)

    @rule(down=st.sets(st.integers(0, 3), max_size=3))
    def sites_fail(self, down: set[int]) -> None:
        self.down = {f"s{k}" for k in down}

    @rule()
    def server_restarts(self) -> None:
        self.restart()

    @precondition(lambda self: self.state.round < 50)
    @rule(crash=st.booleans())
    def round_is_played(self, crash: bool) -> None:
        at, plan = len(self.run.network.asked), self.run.plan
        present = set(self.state.present(plan.max_misses))
        try:
            after = self.server.one_round(self.state)
        except QuorumError:
            assert present <= self.down or not present
            self.restart()
            return
        asked = [a.task for a in self.run.network.asked[at:]]
        recalled = {t.site for t in asked if t.stage is Stage.PREPARE}
        work = [t for t in asked if t.stage is not Stage.PREPARE]
        assert {t.site for t in work} <= present | recalled and {t.stage for t in work} <= {*TRAINING, Stage.ASSESS}
        assert not recalled & present
        parts = set(self.run.ops.parents(after.theta))
        assert parts and not parts & self.down
        assert after.round == self.state.round + 1
        if crash:
            self.restart()
        else:
            self.state = self.saved = after
            self.rounds += 1

    @invariant()
    def committed_rounds_are_counted_once(self) -> None:
        assert self.saved.round == self.state.round == self.rounds
        for site, weights in self.saved.silos.items():
            start, *done = self.run.ops.lineage(weights)  # in turns and from Theta it leads through other silos
            assert len(set(done)) == len(done)
            assert [int(i.split("/")[0]) for i in done] == sorted(int(i.split("/")[0]) for i in done)
            assert all(int(i.split("/")[0]) < self.rounds for i in done)
            if self.run.rules.exchanges and not self.run.plan.theta_mixing:
                assert start == "start"
                assert sum("/local/" in i for i in done) == (site in self.saved.trained)

    @invariant()
    def theta_is_there_from_the_first_round_on(self) -> None:
        assert (self.saved.theta is None) == (self.rounds == 0)


TestRounds = Rounds.TestCase
TestRounds.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
