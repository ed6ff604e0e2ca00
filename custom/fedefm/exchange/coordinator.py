"""The expert exchange itself: one round after another, over any transport.

The FLARE controller and the in-process runner both call `run`; they differ only in the `Transport` that they hand in.
Weights are opaque: what is done with them comes in as `WeightsOps`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, runtime_checkable

from fedefm.errors import ProtocolError, QuorumError
from fedefm.exchange import schedule as plans
from fedefm.exchange.events import Listener, SilosRated, StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.messages import STUDENT, THETA, Assignment, Lost, Result, Stage, Task, W
from fedefm.exchange.reputation import assessed, comparable, reputation, with_agreement
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import Topology

NOTHING: Mapping[str, Any] = {}


@runtime_checkable
class Transport(Protocol[W]):
    """Carries assignments to hospitals and brings back what they return."""

    def perform(self, assignments: Sequence[Assignment[W]]) -> Iterable[tuple[Task, Result[W] | Lost]]:
        """Work on all assignments, in parallel where it can, and yield each outcome as it arrives, each task once."""
        ...


@runtime_checkable
class WeightsOps(Protocol[W]):
    """The arithmetic of weights, which this package does not know."""

    def average(self, models: Mapping[str, W], weights: Mapping[str, float]) -> W:
        """Weighted mean by silo; the order of the mapping must not change a bit."""
        ...

    def interpolate(self, a: W, b: W, t: float) -> W:
        """(1 - t) a + t b."""
        ...

    def combine(self, models: Mapping[str, W], factors: Mapping[str, float]) -> W:
        """Sum of factor times weights; the order of the mapping must not change a bit."""
        ...

    def refusal(self, weights: W) -> str | None:
        """Why weights from a peer cannot be accepted (NaN, wrong shape ...); None if they can."""
        ...

    def nbytes(self, weights: W) -> int:
        """Size on the wire."""
        ...


@dataclass
class Coordinator(Generic[W]):
    """Runs a `Schedule` over a `Topology`.

    Attributes:
        plan: the schedule.
        topology: who visits whom.
        classes: foreground classes of the job; a label corpus may name no other.
        transport: carries the work.
        ops: arithmetic of weights.
        listen: is told every event.
        commit: is handed the state after every round, to save it.
    """

    plan: Schedule
    topology: Topology
    classes: Sequence[str]
    transport: Transport[W]
    ops: WeightsOps[W]
    listen: Listener
    commit: Callable[[RoundState[W]], None] = lambda state: None

    def run(self, initial: W, resume: RoundState[W] | None = None) -> RoundState[W]:
        """Prepare the hospitals, run all rounds that are left, evaluate, and return the last state.

        Raises:
            QuorumError: fewer than `min_sites` hospitals took part in a stage that needs them.
        """
        state = resume or RoundState(0, dict.fromkeys(self.topology.sites, initial))
        state = self.prepare(state)
        while state.round < self.plan.rounds_run:
            state = self.one_round(state)
            self.commit(state)
        if self.plan.compare_lone:
            tasks = plans.lone_tasks(self.plan, self.topology, self.present(state))
            self.stage(state, Stage.LONE, [Assignment(task, {STUDENT: initial}) for task in tasks])
        self.evaluate(state)
        return state

    def prepare(self, state: RoundState[W]) -> RoundState[W]:
        """Ask every hospital to read its data and name its label corpus."""
        tasks = plans.prepare_tasks(self.plan, self.topology.sites)
        done, state = self.stage(state, Stage.PREPARE, [Assignment(task, {}) for task in tasks])
        self.quorum(len(done), Stage.PREPARE, state.round)
        return replace(
            state,
            corpora={task.site: corpus_of(result.report, self.classes) for task, result in done},
            images={task.site: result.images for task, result in done},
        )

    def one_round(self, state: RoundState[W]) -> RoundState[W]:
        """One communication round, as the plan's method plays it."""
        after = self.plan.rules.one_round(self, state)
        return replace(after, round=state.round + 1)

    def mix(self, state: RoundState[W], source: W | None = None, silos: Sequence[str] | None = None) -> RoundState[W]:
        """Let a share of Theta flow back into every silo's weights (0 in the paper, 1 in FedAvg).

        Args:
            state: of the round.
            source: flows in Theta's place.
            silos: only these; None means all.
        """
        source = state.theta if source is None else source
        if source is None or self.plan.mixing == 0:
            return state
        chosen = state.silos if silos is None else silos
        mixed = {s: self.ops.interpolate(state.silos[s], source, self.plan.mixing) for s in chosen}
        return replace(state, silos=state.silos | mixed)

    def local(
        self, state: RoundState[W], sites: Sequence[str], extra: Mapping[str, Mapping[str, W]] = NOTHING
    ) -> tuple[RoundState[W], dict[str, Mapping[str, Any]]]:
        """Hospitals train their silo's weights on their own data; their reports by site.

        Args:
            state: of the round.
            sites: who trains.
            extra: weights that go along to a site, by their role.
        """
        tasks = plans.local_tasks(self.plan, self.topology, sites, state.round)
        assignments = [Assignment(t, {STUDENT: state.silos[t.site], **extra.get(t.site, {})}) for t in tasks]
        done, state = self.stage(state, Stage.LOCAL, assignments)
        reports = {task.site: result.report for task, result in done}
        return replace(state, silos=state.silos | _weights(done), trained=state.trained | set(reports)), reports

    def overseas(
        self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()
    ) -> tuple[dict[str, dict[str, W]], RoundState[W], frozenset[str]]:
        """Send these silos' weights to their neighbours to be trained there (Eq. 1).

        Args:
            state: of the round.
            silos: whose weights travel.
            excused: hosts whose failure counts no miss, as they have one of this round already or did their own part.

        Returns:
            Experts by visitor and host, the state, and the hosts that failed a visit.
        """
        present = self.present(state)
        visitors = [site for site in present if site in state.trained and site in silos]
        tasks = plans.overseas_tasks(self.plan, self.topology, visitors, present, state.round)
        assignments = [Assignment(task, {STUDENT: state.silos[task.visitor]}) for task in tasks]
        done, state = self.stage(state, Stage.OVERSEAS, assignments, excused)
        experts: dict[str, dict[str, W]] = {site: {} for site in visitors}
        for task, result in done:
            experts[task.visitor][task.site] = _trained(result)
        return experts, state, frozenset(task.site for task in tasks if task.site not in experts[task.visitor])

    def distil(self, state: RoundState[W], experts: dict[str, dict[str, W]]) -> tuple[RoundState[W], frozenset[str]]:
        """Teach every silo at home by the experts that came back (Eq. 2, 11)."""
        assignments = []
        for site in (s for s in self.present(state) if s in experts):
            corpora = {host: state.corpora[host] for host in experts[site]}
            reputations = self.reputations(state, corpora)
            task = plans.distil_task(self.plan, self.topology, site, state.round, corpora, reputations)
            assignments.append(Assignment(task, {STUDENT: state.silos[site], **experts[site]}))
        done, state = self.stage(state, Stage.DISTIL, assignments)
        return replace(state, silos=state.silos | _weights(done)), frozenset(task.site for task, _ in done)

    def aggregate(self, state: RoundState[W], took_part: frozenset[str]) -> RoundState[W]:
        """Theta = mean of theta_i over the silos that took part (vartheta_i = 1), passed by `server_rate`."""
        self.quorum(len(took_part), Stage.AGGREGATE, state.round)
        if rated := assessed(state.agreement):
            self.listen(SilosRated(state.round, self.reputations(state, rated)))
        self.listen(StageStarted(state.round, self.plan.rounds_run, Stage.AGGREGATE, len(took_part)))
        begin = time.perf_counter()
        weights = self.shares(state, took_part)
        theta = self.ops.average({site: state.silos[site] for site in weights}, weights)
        if state.theta is not None and self.plan.theta_rate != 1:
            theta = self.ops.interpolate(state.theta, theta, self.plan.theta_rate)
        self.listen(StageEnded(state.round, Stage.AGGREGATE, time.perf_counter() - begin, 0))
        return replace(state, theta=theta)

    def assess(self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()) -> RoundState[W]:
        """Have these silos' weights held against the labels of their neighbours, where that tells silos apart.

        Args:
            state: of the round.
            silos: whose weights travel.
            excused: hosts whose failure counts no miss.
        """
        if self.plan.reputation_limit == 0:
            return state
        present = self.present(state)
        pairs = [
            (silo, host)
            for silo in silos
            for host in self.topology.neighbours(silo)
            if host in present and self._comparable(state, silo, host)
        ]
        tasks = plans.assess_tasks(self.plan, pairs, state.round)
        assignments = [Assignment(task, {STUDENT: state.silos[task.visitor]}) for task in tasks]
        done, state = self.stage(state, Stage.ASSESS, assignments, excused)
        agreement = state.agreement
        for task, result in done:
            found = agreement_of(result.report, self._comparable(state, task.visitor, task.site))
            agreement = with_agreement(agreement, task.site, task.visitor, found)
        return replace(state, agreement=agreement)

    def reputations(self, state: RoundState[W], silos: Iterable[str]) -> dict[str, float]:
        """Share of its weight that each silo keeps."""
        return {silo: reputation(state.agreement, silo, self.plan.reputation_limit) for silo in silos}

    def shares(self, state: RoundState[W], silos: Iterable[str]) -> dict[str, float]:
        """Weight of each silo in the mean; where no silo has any reputation left, as if all had."""
        counts = {s: float(state.images[s]) if self.plan.weigh_by_images else 1.0 for s in sorted(silos)}
        weights = {s: counts[s] * share for s, share in self.reputations(state, counts).items()}
        return weights if any(weights.values()) else counts

    def _comparable(self, state: RoundState[W], silo: str, host: str) -> tuple[str, ...]:
        return comparable(self.topology, state.corpora, silo, host)

    def evaluate(self, state: RoundState[W]) -> None:
        """Measure Theta and every theta_i on every hospital's test split."""
        models = {} if state.theta is None else {THETA: state.theta}
        models |= {site: state.silos[site] for site in sorted(state.trained)}
        tasks = plans.evaluate_tasks(self.plan, self.present(state))
        self.stage(state, Stage.EVALUATE, [Assignment(task, models) for task in tasks])

    def present(self, state: RoundState[W]) -> tuple[str, ...]:
        """Hospitals that prepared and still answer."""
        return state.present(self.plan.max_misses)

    def quorum(self, count: int, stage: Stage, round_: int) -> None:
        """Refuse to go on with too few hospitals."""
        if count < self.plan.min_sites:
            raise QuorumError(
                f"round {round_}, {stage}: {count} hospitals took part, at least {self.plan.min_sites} must; "
                "no global model is published"
            )

    def stage(
        self, state: RoundState[W], stage: Stage, assignments: Sequence[Assignment[W]], excused: Collection[str] = ()
    ) -> tuple[list[tuple[Task, Result[W]]], RoundState[W]]:
        """Perform the tasks of one stage; what fails is named and left out. Results come back in task order.

        Who is `excused` may fail without a miss.
        """
        if not assignments:
            return [], state
        self.listen(StageStarted(state.round, self.plan.rounds_run, stage, len(assignments)))
        begin, sent = time.perf_counter(), {a.task.id: self._size(a.models.values()) for a in assignments}
        accepted: dict[str, tuple[Task, Result[W]]] = {}
        failed, moved, open_ = set(), sum(sent.values()), {a.task.id: a.task for a in assignments}
        for task, outcome in self.transport.perform(assignments):
            if open_.pop(task.id, None) is None:  # a second answer must not replace the first
                self.listen(TaskLost(Lost.of(task, "answered twice, or was never asked; only its first answer counts")))
                continue
            reason = outcome.reason if isinstance(outcome, Lost) else self._refusal(task, outcome)
            if reason is not None or isinstance(outcome, Lost):
                failed.add(task.site)
                self.listen(TaskLost(Lost.of(task, reason or "lost")))
                continue
            moved += self._size([] if outcome.weights is None else [outcome.weights])
            accepted[task.id] = (task, outcome)
            self.listen(TaskDone(task, outcome.report, outcome.images))
        for task in open_.values():
            failed.add(task.site)
            self.listen(TaskLost(Lost.of(task, "no answer")))
        self.listen(StageEnded(state.round, stage, time.perf_counter() - begin, moved))
        done = [accepted[a.task.id] for a in assignments if a.task.id in accepted]
        worked = frozenset(task.site for task, _ in done)
        return done, state.with_outcome(worked - failed, frozenset(failed).difference(worked, excused))

    def _refusal(self, task: Task, result: Result[W]) -> str | None:
        """Why a result is not accepted: stale, without weights, or with weights that break the schema."""
        if result.task_id != task.id:
            return f"answered task {result.task_id[:80]!r} instead of {task.id}"
        if task.stage in plans.TRAINING and result.weights is None:
            return "returned no weights"
        try:
            if task.stage is Stage.PREPARE:
                corpus_of(result.report, self.classes)
            if task.stage is Stage.ASSESS:
                agreement_of(result.report, ())
        except ProtocolError as error:
            return str(error)
        return None if result.weights is None else self.ops.refusal(result.weights)

    def _size(self, models: Iterable[W]) -> int:
        return sum(self.ops.nbytes(weights) for weights in models)


def corpus_of(report: Mapping[str, Any], classes: Sequence[str]) -> tuple[str, ...]:
    """The label corpus in a prepare report.

    Raises:
        ProtocolError: it is missing or empty, or names a class that the job does not know.
    """
    corpus = report.get("corpus")
    if not isinstance(corpus, (list, tuple)) or not all(isinstance(name, str) for name in corpus):
        raise ProtocolError("prepare: the hospital did not name its label corpus")
    strangers = sorted(set(corpus) - set(classes))
    if strangers:
        raise ProtocolError(f"prepare: the hospital labels {strangers[0][:40]!r}, which the job does not know")
    if not corpus:
        raise ProtocolError("prepare: the hospital labels none of the job's classes")
    return tuple(corpus)


def agreement_of(report: Mapping[str, Any], classes: Sequence[str]) -> dict[str, float]:
    """The agreement by class in an assess report, of these classes.

    Raises:
        ProtocolError: one of its figures is no number in [0, 1].
    """
    found = report.get("agreement")
    if not isinstance(found, Mapping) or not all(_is_share(value) for value in found.values()):
        raise ProtocolError("assess: the hospital gave no agreement in [0, 1] by class")
    return {name: float(found[name]) for name in classes if name in found}


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _trained(result: Result[W]) -> W:
    if result.weights is None:
        raise ProtocolError(f"{result.task_id}: no weights")
    return result.weights


def _weights(done: Iterable[tuple[Task, Result[W]]]) -> dict[str, W]:
    return {task.visitor: _trained(result) for task, result in done}
