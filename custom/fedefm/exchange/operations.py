"""The operations of a round, over a transport: what a method calls (`method.Exchange` says when and how)."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

from fedefm.errors import ProtocolError
from fedefm.exchange.events import CountsCapped, SilosRated, StageEnded, StageStarted
from fedefm.exchange.messages import STUDENT, Assignment, Check, Result, Stage, Task, W, any_report
from fedefm.exchange.method import NOTHING, Experts, Method
from fedefm.exchange.ports import WeightsOps
from fedefm.exchange.reputation import agreement_of, assessed, comparable, reputation, with_agreement
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.shares import above, capped
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import RoundState
from fedefm.exchange.tasks import Tasks, total_steps
from fedefm.exchange.topology import Topology


@dataclass(frozen=True)
class Operations(Generic[W]):
    """The `Exchange` that a method's round is handed.

    Attributes:
        plan: the job's numbers.
        rules: the job's method.
        topology: who visits whom.
        stages: has stages done.
    """

    plan: Schedule
    rules: Method
    topology: Topology
    stages: Stages[W]

    @property
    def ops(self) -> WeightsOps[W]:
        """The arithmetic of weights."""
        return self.stages.ops

    @property
    def tasks(self) -> Tasks:
        """Makes the tasks of the rounds."""
        return Tasks(self.plan, self.rules, self.topology)

    def present(self, state: RoundState[W]) -> tuple[str, ...]:
        """Hospitals that have prepared and still answer, sorted."""
        return self.stages.present(state)

    def mix(self, state: RoundState[W], source: W | None = None, silos: Sequence[str] | None = None) -> RoundState[W]:
        """Let a share of Theta, or of `source`, flow into the silos' weights (0 in the paper, 1 in FedAvg)."""
        source, share = state.theta if source is None else source, self.rules.mixing_of(self.plan)
        if source is None or share == 0:
            return state
        chosen = state.silos if silos is None else silos
        mixed = {s: self.ops.interpolate(state.silos[s], source, share) for s in chosen}
        return replace(state, silos=state.silos | mixed)

    def local(
        self, state: RoundState[W], sites: Sequence[str], extra: Mapping[str, Mapping[str, W]] = NOTHING
    ) -> tuple[RoundState[W], dict[str, Mapping[str, Any]]]:
        """Hospitals train their silo's weights on their own data; their reports by site."""
        tasks = self.tasks.local(sites, state.round)
        assignments = [Assignment(t, {STUDENT: state.silos[t.site], **extra.get(t.site, {})}) for t in tasks]
        done, state = self.stages.perform(state, Stage.LOCAL, assignments)
        reports = {task.site: result.report for task, result in done}
        return replace(state, silos=state.silos | _weights(done), trained=state.trained | set(reports)), reports

    def overseas(
        self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()
    ) -> tuple[Experts[W], RoundState[W], frozenset[str]]:
        """Neighbours train these silos' weights (Eq. 1); the experts, the state, and the hosts that failed a visit."""
        present = self.present(state)
        visitors = [site for site in present if site in state.trained and site in silos]
        tasks = self.tasks.overseas(visitors, self.stages.hosts(state), state.round)
        assignments = [Assignment(task, {STUDENT: state.silos[task.visitor]}) for task in tasks]
        done, state = self.stages.perform(state, Stage.OVERSEAS, assignments, excused)
        experts: Experts[W] = {site: {} for site in visitors}
        for task, result in done:
            experts[task.visitor][task.site] = _trained(result)
        return experts, state, frozenset(task.site for task in tasks if task.site not in experts[task.visitor])

    def distil(self, state: RoundState[W], experts: Experts[W]) -> tuple[RoundState[W], frozenset[str]]:
        """Teach the silos at home by their experts (Eq. 2, 11); the state, and the silos that came back."""
        assignments = []
        for site in (s for s in self.present(state) if s in experts):
            corpora = {host: state.corpora[host] for host in experts[site]}
            task = self.tasks.distil(site, state.round, corpora, self.reputations(state, corpora))
            assignments.append(Assignment(task, {STUDENT: state.silos[site], **experts[site]}))
        done, state = self.stages.perform(state, Stage.DISTIL, assignments)
        return replace(state, silos=state.silos | _weights(done)), frozenset(task.site for task, _ in done)

    def assess(self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()) -> RoundState[W]:
        """Neighbours compare these silos' weights with their own labels, where that tells silos apart."""
        if self.plan.reputation_limit == 0:
            return state
        hosts = self.stages.hosts(state)
        pairs = [
            (silo, host)
            for silo in silos
            for host in self.topology.neighbours(silo)
            if host in hosts and self._comparable(state, silo, host)
        ]
        tasks = self.tasks.assess(pairs, state.round)
        assignments = [Assignment(task, {STUDENT: state.silos[task.visitor]}) for task in tasks]
        done, state = self.stages.perform(state, Stage.ASSESS, assignments, excused)
        agreement = state.agreement
        for task, result in done:
            found = agreement_of(result.report, self._comparable(state, task.visitor, task.site))
            agreement = with_agreement(agreement, task.site, task.visitor, found)
        return replace(state, agreement=agreement)

    def reputations(self, state: RoundState[W], silos: Iterable[str]) -> dict[str, float]:
        """Share in [0, 1] of its weight that each silo keeps."""
        limit = self.plan.reputation_limit
        return {silo: reputation(state.agreement, state.corpora, silo, limit) for silo in silos}

    def aggregate(self, state: RoundState[W], took_part: frozenset[str]) -> RoundState[W]:
        """Make the new Theta.

        The mean of theta_i over the silos that took part (each with weight vartheta_i = 1, times its reputation) is
        where Theta goes. With a server rate r the step there has r times its length: Theta + r (mean - Theta). The
        first Theta is the mean.
        """
        self.stages.quorum(len(took_part), Stage.AGGREGATE, state.round)
        if known := assessed(state.agreement):
            self.stages.listen(SilosRated(state.round, self.reputations(state, known)))
        self.stages.listen(StageStarted(state.round, self.stages.rounds, Stage.AGGREGATE, len(took_part)))
        begin, rate = time.perf_counter(), self.rules.server_rate_of(self.plan)
        weights = self.shares(state, took_part)
        if self.plan.weigh_by_images and (cut := above({site: state.images[site] for site in took_part})):
            self.stages.listen(CountsCapped(state.round, cut))
        theta = self.ops.average({site: state.silos[site] for site in weights}, weights)
        if state.theta is not None and rate != 1:
            theta = self.ops.interpolate(state.theta, theta, rate)
        self.stages.listen(StageEnded(state.round, Stage.AGGREGATE, time.perf_counter() - begin, 0))
        return replace(state, theta=theta)

    def shares(self, state: RoundState[W], silos: Iterable[str]) -> dict[str, float]:
        """Weight of each silo in the mean; where no silo has any reputation left, as if all had."""
        counts = dict.fromkeys(sorted(silos), 1.0)
        if self.plan.weigh_by_images and counts:
            counts = capped({silo: state.images[silo] for silo in counts})
        weights = {s: counts[s] * share for s, share in self.reputations(state, counts).items()}
        return weights if any(weights.values()) else counts

    def quorum(self, count: int, stage: Stage, round_: int) -> None:
        """Refuse to go on with too few hospitals."""
        self.stages.quorum(count, stage, round_)

    def total_steps(self, site: str) -> int:
        """Gradient steps at `site` over the whole run."""
        return total_steps(self.plan, self.topology, site)

    def task(self, stage: Stage, round_: int, site: str, visitor: str | None = None, **fields: Any) -> Task:
        """A task with its own seed and its place in the run."""
        return self.tasks.task(stage, round_, site, visitor, **fields)

    def perform(
        self,
        state: RoundState[W],
        stage: Stage,
        assignments: Sequence[Assignment[W]],
        excused: Collection[str] = (),
        check: Check = any_report,
    ) -> tuple[list[tuple[Task, Result[W]]], RoundState[W]]:
        """Have one stage done."""
        return self.stages.perform(state, stage, assignments, excused, check)

    def _comparable(self, state: RoundState[W], silo: str, host: str) -> tuple[str, ...]:
        return comparable(self.topology, state.corpora, silo, host)


def _trained(result: Result[W]) -> W:
    if result.weights is None:
        raise ProtocolError(f"{result.task_id}: no weights")
    return result.weights


def _weights(done: Iterable[tuple[Task, Result[W]]]) -> dict[str, W]:
    return {task.visitor: _trained(result) for task, result in done}
