"""Hospitals that do not answer, come back, or are removed: what they cost by a simulated clock, and what is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event, Standing, StandingChanged, TaskLost
from fedefm.exchange.messages import TRAVELS, Assignment, Loss, Lost, Stage, Task
from fedefm.exchange.methods import FEDEFM
from fedefm.exchange.patience import PROBE_SECONDS, Load, Speeds
from fedefm.exchange.record import Recorder
from fedefm.exchange.schedule import ORDERS, Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import complete
from support.scripted_network import CLASSES, Ledger, Network

CEILING = 600.0
SEVEN = tuple("abcdefg")
WORK_SECONDS = 5.0  # of one task


@dataclass
class Clocked(Network):
    """A scripted network whose hospitals take time: a silent one as long as it is waited for."""

    now: float = 0.0
    speeds: Speeds = field(default_factory=Speeds)
    waits: list[tuple[str, float]] = field(default_factory=list)

    def perform(self, assignments: Sequence[Assignment[Any]]) -> Iterator[tuple[Task, Any]]:
        silent: set[str] = set()
        for assignment in assignments:
            task = assignment.task
            self.asked.append(assignment)
            load, fault = Load.of(task, 1_000_000), self.fault(task)
            if fault == "removed":
                yield task, Lost.of(task, "removed", Loss.REMOVED)
            elif fault == "silent":
                if task.site not in silent:  # all its tasks of a stage are given up at once
                    self.waits.append((task.site, self.speeds.patience(load, CEILING)))
                    self.now += self.waits[-1][1]
                    self.speeds.forget(task.site)
                silent.add(task.site)
                yield task, Lost.of(task, "no answer", Loss.SILENT)
            else:
                self.now += WORK_SECONDS
                self.speeds.note(load, WORK_SECONDS)
                yield from self._outcomes(assignment)


@dataclass
class Run:
    """What came of a run."""

    network: Clocked
    state: RoundState[str]
    events: list[Event]
    record: dict[str, Any]

    def standings(self, site: str) -> list[tuple[int, Standing]]:
        told = (event for event in self.events if isinstance(event, StandingChanged) and event.site == site)
        return [(event.round, event.standing) for event in told]

    def rounds(self, site: str, *stages: Stage) -> set[int]:
        """Rounds in which a hospital was asked for these stages."""
        return {a.task.round for a in self.network.asked if a.task.site == site and a.task.stage in stages}


def run(fault: Callable[[Task], str | None], sites: Sequence[str] = SEVEN, **plan: Any) -> Run:
    ledger = Ledger()
    network, recorder, events = Clocked(ledger.train, fault), Recorder(CLASSES), list[Event]()

    def listen(event: Event) -> None:
        recorder(event)
        events.append(event)

    steps = {"local_steps": 1, "overseas_steps": 1, "distil_steps": 1, "min_sites": 2}
    schedule = Schedule(**{"rounds": 8, **steps, **plan})
    rules = Coordinator(schedule, FEDEFM, complete(sites), CLASSES, network, ledger, listen)
    return Run(network, rules.run("start"), events, recorder.figures())


def silent_when(condition: Callable[[Task], bool]) -> Callable[[Task], str | None]:
    return lambda task: "silent" if condition(task) else None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("max_misses", [2, 3])  # at 1 the first miss of any kind ends its turns too
def test_a_host_that_answers_its_own_turn_but_no_visit_is_waited_for_a_few_times_in_all(order, max_misses):
    """Six silos visit it in eight rounds, and each is assessed there: without a bench 96 waits, in turns."""
    done = run(silent_when(lambda t: t.site == "g" and t.stage in TRAVELS), order=order, max_misses=max_misses)
    assert len(done.network.waits) <= max_misses + 3  # log2 of 8 rounds
    assert sum(seconds for _, seconds in done.network.waits) <= (max_misses + 3) * CEILING
    assert done.rounds("g", Stage.DISTIL) == set(range(8))  # it goes on with its own turn
    assert done.standings("g")[0][1] is Standing.BENCHED and Standing.AWAY not in dict(done.standings("g")).values()
    assert {"site": "g", "standing": "benched"}.items() <= done.record["standings"][0].items()


def test_a_benched_host_is_asked_again_after_1_2_4_rounds_and_is_a_host_again_when_it_answers():
    done = run(silent_when(lambda t: t.site == "g" and t.stage in TRAVELS and t.round < 5), rounds=12)
    assert done.rounds("g", *TRAVELS) == {0, 2, 5, 6, 7, 8, 9, 10, 11}
    assert done.standings("g") == [(0, Standing.BENCHED), (2, Standing.BENCHED), (5, Standing.BACK)]


def test_a_host_that_says_no_costs_nobody_time_and_is_asked_again():
    done = run(lambda t: "lost" if t.site == "g" and t.stage in TRAVELS else None)
    assert done.rounds("g", Stage.OVERSEAS) == set(range(8)) and done.standings("g") == []


@pytest.mark.parametrize("order", ORDERS)
def test_a_hospital_that_is_gone_for_some_rounds_gets_work_again_in_the_round_in_which_it_answers(order):
    done = run(silent_when(lambda t: t.site == "g" and 1 <= t.round < 4), order=order)
    assert {(1, Standing.AWAY), (4, Standing.BACK)} <= set(done.standings("g"))
    assert {4, 5, 6, 7} <= done.rounds("g", Stage.DISTIL) and {5, 6, 7} <= done.rounds("g", Stage.OVERSEAS)
    assert not {2, 3} & done.rounds("g", Stage.DISTIL, *TRAVELS)
    probes = [seconds for site, seconds in done.network.waits if site == "g"][-2:]
    assert probes == [max(PROBE_SECONDS, 10 * WORK_SECONDS)] * 2  # rounds 2 and 3
    assert {"g"} == {lost["site"] for lost in done.record["lost"]}


def test_a_hospital_that_only_ever_says_that_it_is_back_is_left_alone_for_longer_and_longer():
    done = run(silent_when(lambda t: t.site == "g" and t.stage is not Stage.PREPARE), rounds=20, max_misses=1)
    asked = sorted(done.rounds("g", Stage.PREPARE))
    assert asked == [0, 1, 3, 7, 15]
    assert len(done.network.waits) == len(asked)


def test_a_hospital_that_starts_late_takes_part_from_the_next_round():
    done = run(silent_when(lambda t: t.site == "g" and t.round == 0))
    assert "g" in done.state.trained and done.rounds("g", Stage.LOCAL) == {1}


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 7), st.sampled_from("abc"))
def test_a_removed_hospital_gets_no_more_work_and_is_named(from_round, site):
    fault = lambda t: "removed" if t.site == site and t.round >= from_round else None  # noqa: E731
    done = run(fault, sites="abc")
    assert done.state.removed == {site}
    asked = [a.task for a in done.network.asked if a.task.site == site and a.task.round >= from_round]
    assert len({task.stage for task in asked}) == 1  # the stage in which it was noticed
    assert done.standings(site) == [(from_round, Standing.REMOVED)]
    assert [entry["site"] for entry in done.record["standings"]] == [site]


def test_in_a_clean_run_nobody_is_asked_twice_and_nothing_is_told():
    done = run(lambda task: None)
    assert [a.task.round for a in done.network.asked if a.task.stage is Stage.PREPARE] == [0] * len(SEVEN)
    assert done.record["standings"] == [] and not [e for e in done.events if isinstance(e, TaskLost)]
    assert (done.state.misses, done.state.missed_visits, done.state.benched) == ({}, {}, {})
