"""Groups of turns on simulated clocks."""

from dataclasses import replace

import pytest
from benchmarks.fixed.definition import load_definition
from benchmarks.fixed.settings import case_settings

from benchmarks import groups
from fedefm.exchange.schedule import PARALLEL, Schedule
from fedefm.exchange.topology import COMPLETE, RING
from support.tiny_benchmark import REAL

PLAN = Schedule(compare_lone=False, reputation_limit=0.0)


@pytest.mark.parametrize("topology", [COMPLETE, RING])
@pytest.mark.parametrize("count", [4, 11])
def test_a_round_waits_for_no_more_turns_than_the_largest_group_has_silos(topology: str, count: int) -> None:
    for name, plan in groups.plans("fedefm", count).items():
        took = groups.round_on_clocks(plan, topology, count)
        assert took.turns == (1 if name == PARALLEL else -(-count // int(name)))
        assert took.own - 1e-6 <= took.wall <= took.turns * took.own + 1e-6


def test_eleven_hospitals_in_four_groups_wait_at_most_three_times_their_own_work() -> None:
    for topology in (COMPLETE, RING):
        took = groups.round_on_clocks(groups.plans("fedefm", 11)["4"], topology, 11)
        assert took.wall <= 3 * took.own


def test_a_turn_by_hand() -> None:
    """Two hospitals: a visit of 2 steps, then 33 steps with one teacher at a third of a step each and two models held
    against the labels; the host is idle at home meanwhile."""
    took = groups.round_on_clocks(PLAN, COMPLETE, 2)
    distil = 33 * (1 + 1 / 3) + 2 * 16 / 3
    assert (took.turns, took.wall, took.own) == (2, pytest.approx(2 * (2 + distil)), pytest.approx(2 + distil))
    assert groups.round_on_clocks(replace(PLAN, order=PARALLEL), COMPLETE, 2).wall == pytest.approx(2 + distil)


def test_the_runs_of_groups_differ_from_each_other_in_their_number_alone() -> None:
    definition = load_definition(REAL)
    found = {case: case_settings(definition, case) for case in definition.cases("turns_in_groups")}
    for case, settings in found.items():
        count = int(case.method.rpartition("_")[2])
        one = found[replace(case, method="groups_1")]
        assert settings == replace(one, name=case.method, schedule=replace(one.schedule, groups=count))
    assert not set(found) & set(definition.cases("all"))
