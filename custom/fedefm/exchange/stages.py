"""What all jobs need of the server: to have a stage done, to prepare the hospitals, and to know who is left.

Nothing here knows a method, a topology or the weights of silos, so a job that tunes or measures uses it as the expert
exchange does.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from fedefm.errors import ProtocolError, QuorumError
from fedefm.exchange.bounds import MAX_COUNT, POOLED, REPORTS, Asked, Range, is_count, plain_copy, read_report, shown
from fedefm.exchange.events import (
    Listener,
    StageEnded,
    StageStarted,
    Standing,
    StandingChanged,
    TaskDone,
    TaskLost,
)
from fedefm.exchange.messages import (
    TRAINING,
    TRAVELS,
    Assignment,
    Check,
    Loss,
    Lost,
    Result,
    Stage,
    Task,
    W,
    any_report,
    seeded_task,
)
from fedefm.exchange.ports import Counting, Transport, WeightsOps
from fedefm.exchange.state import Attendance, S
from fedefm.exchange.traffic import Moved


@dataclass(frozen=True)
class Stages(Generic[W]):
    """The stages of a job over a transport.

    Attributes:
        transport: carries the work.
        ops: arithmetic of weights; says how large they are, and which are refused.
        classes: foreground classes of the job; a label corpus may name no other.
        listen: is told every event.
        rounds: rounds of the job, for those who are told events.
        seed: the job's seed.
        min_sites: fewer hospitals than this end the job.
        max_misses: a hospital that failed this many stages in a row gets no more work until it answers `recall`; one
            that was waited for in vain in this many stages of visits in a row is benched.
        metrics: figures of a class that reports may hold, and the range of each.
    """

    transport: Transport[W]
    ops: WeightsOps[W]
    classes: Sequence[str]
    listen: Listener
    rounds: int
    seed: int
    min_sites: int
    max_misses: int = 2
    metrics: Mapping[str, Range] = field(default_factory=lambda: POOLED)

    def prepare(self, state: S, sites: Iterable[str]) -> S:
        """Ask every hospital to read its data and name its label corpus.

        Raises:
            QuorumError: fewer than `min_sites` have prepared.
        """
        tasks = [seeded_task(self.seed, Stage.PREPARE, 0, site) for site in sorted(sites)]
        done, state = self.perform(
            state,
            Stage.PREPARE,
            [Assignment(task, {}) for task in tasks],
        )
        self.quorum(len(done), Stage.PREPARE, state.round)
        return self._prepared(replace(state, corpora={}, images={}), done)

    def recall(self, state: S) -> S:
        """Ask those who are away, once at the start of a round, whether they are back; who answers gets work again.

        They are asked to prepare, as in the beginning: a process that took the place of another has to read its data.
        One miss more and a hospital is away again, and then it is left alone for 2 rounds, 4, 8 ... until it does work.
        In a clean run nobody is away, and nothing is asked.
        """
        away = state.away(self.max_misses)
        tasks = [seeded_task(self.seed, Stage.PREPARE, state.round, site) for site in away]
        done, state = self.perform(
            state,
            Stage.PREPARE,
            [Assignment(task, {}) for task in tasks],
        )
        back = [task.site for task, _ in done]
        for site in back:
            self.listen(StandingChanged(state.round, site, Standing.BACK, "it answers again and gets work again"))
        return self._prepared(state, done).with_returned(back, self.max_misses)

    def hosts(self, state: Attendance) -> tuple[str, ...]:
        """Hospitals that are present and may be asked for visits in this round, sorted."""
        return state.hosts(self.max_misses)

    def present(self, state: Attendance) -> tuple[str, ...]:
        """Hospitals that have prepared and still answer, sorted."""
        return state.present(self.max_misses)

    def tasks(self, state: Attendance, stage: Stage, round_: int) -> list[Task]:
        """One task, without gradient steps, for every hospital that still answers."""
        return [seeded_task(self.seed, stage, round_, site) for site in self.present(state)]

    def quorum(self, count: int, stage: Stage, round_: int) -> None:
        """Refuse to go on with too few hospitals.

        Raises:
            QuorumError: `count` is below `min_sites`.
        """
        if count < self.min_sites:
            raise QuorumError(
                f"round {round_}, {stage}: {count} hospitals took part, at least {self.min_sites} must; "
                "no global model is published"
            )

    def perform(
        self,
        state: S,
        stage: Stage,
        assignments: Sequence[Assignment[W]],
        excused: Collection[str] = (),
        check: Check = any_report,
    ) -> tuple[list[tuple[Task, Result[W]]], S]:
        """Have one stage done. Work that fails is told to the listener and left out.

        Args:
            state: of the job; its round is told with the events.
            stage: of all the tasks.
            assignments: the tasks, each with the weights that it needs.
            excused: hospitals that get no miss if they fail now.
            check: of each report, beside the bounds of its stage (`exchange/bounds.py`); a result whose report one of
                them refuses is lost.

        Returns:
            Tasks and results in the order of `assignments`, whoever answered first, and the state with the new misses.
        """
        if not assignments:
            return [], state
        self.listen(StageStarted(state.round, self.rounds, stage, len(assignments)))
        begin, before = time.perf_counter(), self._moved()
        accepted, losses = self._collect(assignments, check, state.images)
        failed = frozenset(lost.site for lost in losses)
        done = [(a.task, accepted[a.task.id]) for a in assignments if a.task.id in accepted]
        after_all = self._moved()
        moved = self._all(assignments, done) if before is None or after_all is None else after_all - before
        self.listen(StageEnded(state.round, stage, time.perf_counter() - begin, moved.bytes, moved.least))
        worked = frozenset(task.site for task, _ in done)
        after = state.with_outcome(worked - failed, failed.difference(worked, excused))
        after = replace(after, removed=state.removed | {lost.site for lost in losses if lost.kind is Loss.REMOVED})
        after = after.with_absences(state, self.max_misses)
        if stage is not Stage.PREPARE:
            after = after.with_work(worked - failed)
        if stage in TRAVELS:
            silent = frozenset(lost.site for lost in losses if lost.kind is Loss.SILENT)
            after = after.with_visits(worked - failed, silent - worked, self.max_misses)
        self._tell_standings(state, after)
        return done, after

    def _collect(
        self, assignments: Sequence[Assignment[W]], check: Check, images: Mapping[str, int]
    ) -> tuple[dict[str, Result[W]], list[Lost]]:
        """Accepted results by task, and the losses but for second answers."""
        accepted: dict[str, Result[W]] = {}
        losses: list[Lost] = []
        open_ = {a.task.id: a for a in assignments}
        for task, outcome in self.transport.perform(assignments):
            assignment = open_.pop(task.id, None)
            if assignment is None:  # a second answer must not replace the first
                self.listen(TaskLost(Lost.of(task, "answered twice, or was never asked; only its first answer counts")))
                continue
            result = self._accepted(assignment, outcome, check, images.get(task.site))
            if isinstance(result, Lost):
                losses.append(result)
                self.listen(TaskLost(result))
                continue
            accepted[task.id] = result
            self.listen(TaskDone(task, result.report, result.images))
        for assignment in open_.values():
            losses.append(Lost.of(assignment.task, "no answer", Loss.SILENT))
            self.listen(TaskLost(losses[-1]))
        return accepted, losses

    def _accepted(
        self, assignment: Assignment[W], outcome: Result[W] | Lost, check: Check, images: int | None
    ) -> Result[W] | Lost:
        """The result with its report read; the task's loss, by its own names, where it cannot be accepted."""
        task = assignment.task
        if isinstance(outcome, Lost):
            return Lost.of(task, outcome.reason, outcome.kind)
        try:
            return self._checked(assignment, outcome, check, images)
        except ProtocolError as error:
            return Lost.of(task, str(error))

    def _checked(self, assignment: Assignment[W], outcome: Result[W], check: Check, images: int | None) -> Result[W]:
        """The result with its report read.

        Raises:
            ProtocolError: it is stale or without weights, or its figures or weights are of no use.
        """
        task = assignment.task
        if outcome.task_id != task.id:
            raise ProtocolError(f"answered task {shown(outcome.task_id)} instead of {task.id}")
        if task.stage in TRAINING and outcome.weights is None:
            raise ProtocolError("returned no weights")
        report = self._read(assignment, outcome.report, check)
        _check_count(outcome.images, report["images"].get("train") if task.stage is Stage.PREPARE else images)
        refused = None if outcome.weights is None else self.ops.refusal(assignment, replace(outcome, report=report))
        if refused is not None:
            raise ProtocolError(refused)
        return replace(outcome, report=report)

    def _read(self, assignment: Assignment[W], report: Any, check: Check) -> dict[str, Any]:
        """The report, bounded by its stage; a stage of which no bounds are known needs a check of its own."""
        task = assignment.task
        if task.stage in REPORTS:
            plain = read_report(report, Asked(task, assignment.models, self.classes, self.metrics))
        elif check is any_report:
            raise ProtocolError(f"{task.stage}: nothing says what its reports may hold; add it to exchange/bounds.py")
        else:
            plain = plain_copy(report)
        check(plain)
        return plain

    def _prepared(self, state: S, done: Iterable[tuple[Task, Result[W]]]) -> S:
        """The state with what these hospitals said of their data."""
        corpora = {task.site: tuple(result.report["corpus"]) for task, result in done}
        images = {task.site: result.images for task, result in done}
        return replace(state, corpora=state.corpora | corpora, images=state.images | images)

    def _tell_standings(self, before: Attendance, after: Attendance) -> None:
        """Tell the listener who was removed, is away, or is benched, and whose bench is over."""
        removed = after.removed - before.removed
        gone = set(before.present(self.max_misses)).difference(after.present(self.max_misses), removed)
        benched = [s for s, until in after.benched.items() if until > before.benched.get(s, 0)]
        news = [(site, Standing.REMOVED, "the consortium removed it; it gets no more work") for site in removed]
        news += [
            (s, Standing.AWAY, f"it failed too often; it is asked again in round {after.away_until[s] + 1}")
            for s in gone
        ]
        news += [
            (s, Standing.BENCHED, f"it missed {after.missed_visits[s]} visits in a row; none until round {until + 1}")
            for s, until in ((site, after.benched[site]) for site in benched)
        ]
        news += [
            (site, Standing.BACK, "it answers visits again") for site in before.benched if site not in after.benched
        ]
        for site, standing, reason in sorted(news):
            self.listen(StandingChanged(after.round, site, standing, reason))

    def _moved(self) -> Moved | None:
        """Bytes that the transport says it has moved so far, if it says so."""
        return self.transport.moved if isinstance(self.transport, Counting) else None

    def _all(self, assignments: Sequence[Assignment[W]], done: Iterable[tuple[Task, Result[W]]]) -> Moved:
        """All weights of these tasks and results, with none that a hospital holds already."""
        sent = sum(self.ops.nbytes(weights) for a in assignments for weights in a.models.values())
        received = sum(self.ops.nbytes(result.weights) for _, result in done if result.weights is not None)
        return Moved(sent + received, sent + received)


def _check_count(images: Any, said: int | None) -> None:
    """A hospital's number of images is a count, and the same whenever it is told.

    Raises:
        ProtocolError: it is none, or another than before.
    """
    if not is_count(images):
        raise ProtocolError(f"the number of images is no whole number in [0, {MAX_COUNT}]")
    if said is not None and images != said:
        raise ProtocolError(f"says {images} images here and {said} when it prepared")
