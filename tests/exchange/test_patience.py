"""How long a hospital is waited for: laws that hold for any measurements, and the cases that the rule is for."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.exchange.messages import Stage, Task
from fedefm.exchange.patience import FACTOR, FLOOR_SECONDS, PROBE_SECONDS, RECENT, Load, Measured, Speeds, patience

STAGES = st.sampled_from([Stage.OVERSEAS, Stage.DISTIL, Stage.EVALUATE, Stage.PREPARE])
SECONDS = st.floats(0.0, 1e5)
LOADS = st.builds(Load, st.sampled_from("abcd"), STAGES, st.integers(0, 1000), st.floats(0.0, 1e4), st.booleans())
MEASURED = st.lists(st.builds(Measured, LOADS, SECONDS), max_size=30)
CEILINGS = st.floats(1.0, 1e4)
NO_FLOOR = {"floor": 0.0}


def visit(site: str, steps: int = 10) -> Load:
    return Load(site, Stage.OVERSEAS, steps, 5.0)


def answers(**seconds: float) -> list[Measured]:
    """Three visits of ten steps at each of these hospitals."""
    return [Measured(visit(site), one) for site, one in seconds.items() for _ in range(3)]


@given(LOADS, MEASURED, CEILINGS)
def test_it_lies_between_floor_and_ceiling_whatever_was_measured(load, measured, ceiling):
    least = PROBE_SECONDS if load.probe else FLOOR_SECONDS
    assert min(least, ceiling) <= patience(load, measured, ceiling) <= ceiling


@given(LOADS, MEASURED, CEILINGS, st.randoms())
def test_the_order_of_the_answers_changes_nothing(load, measured, ceiling, chance: random.Random):
    shuffled = chance.sample(measured, len(measured))
    assert patience(load, shuffled, ceiling) == patience(load, measured, ceiling)


@given(LOADS, MEASURED, CEILINGS)
def test_of_whom_nothing_is_known_in_this_stage_the_ceiling_holds(load, measured, ceiling):
    strangers = [one for one in measured if (one.load.site, one.load.stage) != (load.site, load.stage)]
    assert patience(replace(load, probe=False), strangers, ceiling) == ceiling


@given(LOADS, MEASURED, CEILINGS)
def test_other_stages_do_not_count(load, measured, ceiling):
    same = [one for one in measured if one.load.stage is load.stage]
    assert patience(load, measured, ceiling) == patience(load, same, ceiling)


@given(LOADS, MEASURED, st.lists(SECONDS, min_size=1, max_size=9), CEILINGS)
def test_a_hospital_always_has_its_own_pace_however_fast_the_others_are(load, measured, own, ceiling):
    others = [one for one in measured if one.load.site != load.site]
    known = [*others, *(Measured(load, seconds) for seconds in own)]
    usual = sorted(own)[(len(own) - 1) // 2]
    assert patience(load, known, ceiling) >= min(ceiling, FACTOR * usual * (1 - 1e-9))


@pytest.mark.parametrize("times", [1, 2, 5, 8])
def test_a_busy_machine_is_not_given_up(times):
    assert patience(visit("a"), answers(a=20.0, b=20.0, c=20.0), 600.0) > times * 20.0


def test_a_hospital_that_is_20_times_slower_in_one_task_is_given_up_for_it():
    usual = answers(a=20.0, b=22.0, c=18.0)
    assert 5 * 20.0 < patience(visit("a"), usual, 600.0) < 20 * 20.0


def test_a_hospital_that_is_always_20_times_slower_is_kept_within_what_the_job_allows():
    known = answers(slow=400.0, b=20.0, c=20.0)
    assert patience(visit("slow"), known, 600.0) == 600.0
    assert patience(visit("slow"), known, 10_000.0) == pytest.approx(FACTOR * 400.0)
    assert patience(visit("b"), known, 10_000.0) == pytest.approx(FACTOR * 210.0)  # of two others the mean


def test_one_slow_hospital_of_many_makes_nobody_else_wait_longer():
    known = answers(slow=4000.0, b=20.0, c=20.0, d=20.0, e=20.0)
    assert patience(visit("b"), known, 10_000.0) == pytest.approx(FACTOR * 20.0)


def test_twice_the_steps_have_twice_the_time_and_without_steps_twice_the_megabytes():
    known = answers(a=20.0)
    assert patience(visit("a", 20), known, 1e9, **NO_FLOOR) == 2 * patience(visit("a", 10), known, 1e9, **NO_FLOOR)
    small, large = (Load("a", Stage.EVALUATE, 0, size) for size in (4.0, 8.0))
    known = [Measured(small, 50.0)]
    assert patience(large, known, 1e9, **NO_FLOOR) == 2 * patience(small, known, 1e9, **NO_FLOOR) == 2 * FACTOR * 50.0


def test_who_is_asked_whether_it_is_back_has_little_time():
    task = Task(Stage.PREPARE, 3, "a", "a")
    assert patience(Load.of(task, 0), [], 600.0) == PROBE_SECONDS
    assert patience(Load.of(replace(task, round=0), 0), [], 600.0) == 600.0
    known = [Measured(Load.of(replace(task, round=0), 0), 9.0)]
    assert patience(Load.of(task, 0), known, 600.0) == FACTOR * 9.0  # as long as its data takes


def test_only_the_last_answers_of_a_hospital_count_and_none_after_it_was_waited_for_in_vain():
    speeds = Speeds()
    for seconds in [1000.0] * RECENT + [20.0] * RECENT:
        speeds.note(visit("a"), seconds)
    assert speeds.patience(visit("a"), 10_000.0) == FACTOR * 20.0
    speeds.note(visit("b"), 20.0)
    speeds.forget("a")
    assert speeds.patience(visit("a"), 10_000.0) == 10_000.0
    assert speeds.patience(visit("b"), 10_000.0) == FACTOR * 20.0
