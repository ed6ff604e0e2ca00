"""Carries assignments over FLARE: one task each, all of a stage at once, gathered as they arrive.

Whatever a hospital does, a stage ends: each is waited for by its own pace (`exchange/patience.py`), its weights are
fetched within bounds (`flare/fetching.py`), and one that is dead or removed is not waited for at all.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

from nvflare.apis.controller_spec import ClientTask, TaskCompletionStatus
from nvflare.apis.controller_spec import Task as FlareTask
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Assignment, Loss, Lost, Result, Stage, Task
from fedefm.exchange.patience import FLOOR_SECONDS, Load, Speeds
from fedefm.exchange.status import AtWork, Heard
from fedefm.exchange.traffic import Moved, Parcel, Traffic
from fedefm.flare.envelope import (
    WEIGHTS,
    Weights,
    decode_result,
    encode_assignment,
    held_of,
    lacks,
    reason_of,
    task_name,
)
from fedefm.flare.fetching import Expected, TooSlowError, bound_messages, cell_of, fetch, largest, leave_at_sender
from fedefm.flare.free_memory import give_back
from fedefm.flare.presence import Left
from fedefm.maths.size import nbytes
from fedefm.training.wire import TensorWire

POLL_SECONDS = 0.1
NAP_SECONDS = 1.0  # a look that lasts longer than this was not all waiting: the server itself stood still
TRIM_SECONDS = 0.2  # between two looks at what can go back to the system
START_SECONDS = 120.0  # a hospital's process may need this long to start, before its first answer
DIED = "its job process died"
REMOVED = "the consortium removed it"
PART_BYTES = 200_000_000  # of models in one message; a hospital has no more of those that come in memory
BACKSTOP_SECONDS = 30  # by which FLARE's own time-out follows ours

Outcome = tuple[Task, Result[Weights] | Lost]
Names = Callable[[], frozenset[str]]
Leavers = Callable[[], Mapping[str, Left]]


@dataclass(frozen=True)
class Arrival:
    """A reply to a task: from whom, and when it came."""

    task_id: str
    sender: str
    reply: Any
    time: float


@dataclass
class Sent:
    """A task that is out at a hospital, with models that it lacks."""

    assignment: Assignment[Weights]
    load: Load
    flare_task: FlareTask
    seconds: int
    parcel: Parcel

    @property
    def task(self) -> Task:
        """The work."""
        return self.assignment.task


def nobody() -> frozenset[str]:
    """No hospital."""
    return frozenset()


def nobody_left() -> Mapping[str, Left]:
    """No hospital has left the job."""
    return {}


class FlareTransport:
    """A `Transport` over a FLARE controller.

    A hospital that has sent nothing for as long as its patience, counted from the start of the stage or from its last
    result, has all its open tasks of the stage given up: hosts work on their visitors one after another, so a time-out
    that ran for each task from the start would punish the last in the queue. The first stage allows for cold starts.
    Only seconds count in which the server did wait: not those in which it fetched or averaged, or its machine slept.

    Attributes:
        controller: schedules and cancels the tasks.
        fl_ctx: context of the run.
        abort_signal: FLARE's request to end the run.
        timeout: most seconds without any answer after which a hospital's work is given up.
        clock: seconds, rising.
        removed: hospitals that the consortium has removed; nothing is sent to them or taken from them.
        dead: hospitals whose process is known to be gone, besides those of whom FLARE tells.
        left: hospitals that have left the job, and why; nothing is waited for from them.
        wire: how weights travel.
        part: most bytes of models in one message, which brings at least one.
        floor: least patience in seconds, but for `timeout`.
        answers: seconds of the answers so far.
        fetches: seconds of the fetched weights so far.
    """

    def __init__(
        self,
        controller: Controller,
        fl_ctx: FLContext,
        abort_signal: Signal,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        removed: Names = nobody,
        dead: Names = nobody,
        left: Leavers = nobody_left,
        floor: float = FLOOR_SECONDS,
        wire: TensorWire | None = None,
        part: int = PART_BYTES,
    ):
        self.controller = controller
        self.fl_ctx = fl_ctx
        self.abort_signal = abort_signal
        self.timeout = timeout
        self.clock = clock
        self.removed, self.dead, self.left = removed, dead, left
        self.floor = floor
        self.wire, self.part = wire or TensorWire(), part
        self.answers, self.fetches = Speeds(), Speeds()
        self._traffic: Traffic[Weights] = Traffic(self.wire.digest, self.wire.nbytes)
        self._largest = 0
        self._at_work: Mapping[str, AtWork] = {}
        leave_at_sender(fl_ctx)

    @property
    def moved(self) -> Moved:
        """Bytes of weights that were moved so far."""
        return self._traffic.moved

    def heard(self, site: str) -> Heard:
        """What is known of a hospital at this moment, by its open tasks and its traffic; safe from any thread."""
        work = self._at_work.get(site)
        return Heard(work, sent=self._traffic.from_site[site], received=self._traffic.to_site[site])

    def perform(self, assignments: Sequence[Assignment[Weights]]) -> Iterator[Outcome]:
        """Send all tasks, then yield each result or loss as it becomes known.

        Raises:
            ProtocolError: the run was aborted.
        """
        inbox: Queue[Arrival] = Queue()
        waits, standing = self._patience(assignments), dict[str, Sent]()
        self._bound_messages(assignments)
        queues = Counter(a.task.site for a in assignments)
        begun, silence = dict.fromkeys(queues, self.clock()), dict.fromkeys(queues, 0.0)
        absence, trimmed = self._absence(), self.clock()
        try:
            for assignment in assignments:
                if lost := absence(assignment.task):
                    yield assignment.task, lost
                    continue
                seconds = int(waits[assignment.task.site] * queues[assignment.task.site]) + BACKSTOP_SECONDS
                standing[assignment.task.id] = self._send(assignment, inbox, seconds)
            while standing:
                if self.abort_signal.triggered:
                    raise ProtocolError("the run was aborted")
                begin, arrived = self.clock(), _take(inbox)
                waited = min(self.clock() - begin, NAP_SECONDS)
                silence = {site: seconds + waited for site, seconds in silence.items()}
                self._at_work = _at_work(standing.values(), silence, waits)
                if arrived and arrived.task_id in standing:
                    sent = standing.pop(arrived.task_id)
                    self._finish(sent.flare_task)
                    outcome = self._open(sent, arrived)
                    give_back(self._largest)
                    if outcome is None:
                        standing[sent.task.id] = self._send(sent.assignment, inbox, sent.seconds, before=sent.parcel)
                        silence[sent.task.site] = 0.0
                        continue
                    if isinstance(outcome, Result):
                        self.answers.note(sent.load, max(0.0, arrived.time - begun[sent.task.site]))
                    begun[sent.task.site] = max(begun[sent.task.site], arrived.time)
                    silence[sent.task.site] = 0.0
                    yield sent.task, outcome
                elif not arrived:
                    trimmed = self._trim(trimmed)
                    yield from self._give_up(standing, silence, waits)
        finally:
            self._at_work = {}
            for sent in standing.values():
                self._finish(sent.flare_task)

    def _patience(self, assignments: Sequence[Assignment[Weights]]) -> dict[str, float]:
        """Seconds of silence after which a hospital's tasks of this stage are given up, by site."""
        waits: dict[str, float] = {}
        for load in map(load_of, assignments):
            first = load.stage is Stage.PREPARE and not load.probe
            seconds = self.answers.patience(load, self.timeout, floor=self.floor) + (START_SECONDS if first else 0.0)
            waits[load.site] = max(seconds, waits.get(load.site, 0.0))
        return waits

    def _bound_messages(self, assignments: Sequence[Assignment[Weights]]) -> None:
        """Let no message in that is larger than the job's weights, or than what a task says that it brings."""
        size = largest(weights for assignment in assignments for weights in assignment.models.values())
        size = max([size, *(sum(one.brings.values()) for one in assignments if one.brings is not None)])
        if size > self._largest or not self._largest:
            self._largest = max(size, 1)
            bound_messages(cell_of(self.fl_ctx), size)

    def _send(
        self, assignment: Assignment[Weights], inbox: Queue[Arrival], seconds: int, *, before: Parcel | None = None
    ) -> Sent:
        """Send a task with models that its hospital lacks, no more of them than a message takes.

        Where it lacks more it says so, and is sent the next ones. One that lacks as many as before it was sent some
        keeps none of them, or says so, and is sent all at once; then it may not ask again.

        Args:
            assignment: the task with all its models.
            inbox: gets the answer.
            seconds: of FLARE's own time-out.
            before: what it was sent last for this task.
        """
        task = assignment.task
        stuck = before is not None and self._is_stuck(task.site, before)
        parcel = self._traffic.pack(task.site, assignment.models, whole=stuck, most=self.part)
        flare_task = FlareTask(
            name=task_name(task.stage),
            data=encode_assignment(assignment, parcel, self.wire, self.wire.fingerprints.alive()),
            timeout=seconds,
            result_received_cb=_putting(inbox, task.id, self.clock),
        )
        self.controller.send(task=flare_task, fl_ctx=self.fl_ctx, targets=[task.site])
        return Sent(assignment, load_of(assignment), flare_task, seconds, parcel)

    def _is_stuck(self, site: str, before: Parcel) -> bool:
        """Whether a hospital that asks for more has gained nothing by what it was sent."""
        lacking = self._traffic.lacking(site, before.digests.values())
        return lacking == 0 or (bool(before.packed) and lacking >= before.left + len(before.packed))

    def _open(self, sent: Sent, arrived: Arrival) -> Result[Weights] | Lost | None:
        """What a reply holds; None where the hospital has to be sent more models of its task.

        Of a hospital that is removed or dead nothing is fetched, and nothing is waited for.
        """
        task, sender = sent.task, arrived.sender
        if lost := self._absence()(task):
            return lost
        try:
            if sender == task.site and lacks(arrived.reply):
                self._traffic.told(task.site, held_of(arrived.reply))
                return Lost.of(task, "asks again for what it was sent") if sent.parcel.whole else None
            self._fetch(sent, arrived.reply)
            outcome = open_reply(task, sender, arrived.reply, self.wire)
            if isinstance(outcome, Result):
                self._note(task.site, outcome, arrived.reply)
        except TooSlowError as error:
            return Lost.of(task, str(error), Loss.SILENT)
        except ProtocolError as error:
            return Lost.of(task, str(error))
        except Exception:  # whatever a hospital sends is its own loss; no word of it is repeated
            return Lost.of(task, "sent something that cannot be read")
        finally:
            _drop_weights(arrived.reply)
        return outcome if task.site not in self.removed() else Lost.of(task, REMOVED, Loss.REMOVED)

    def _fetch(self, sent: Sent, reply: Any) -> None:
        """Put the tensors of a result in the place of the references to them."""
        if not isinstance(reply, dict) or reply.get(WEIGHTS) is None:
            return
        expected = Expected.of(sent.assignment)
        load = Load(sent.load.site, sent.load.stage, megabytes=expected.limit / 1e6)
        seconds, begin = self.fetches.patience(load, self.timeout, floor=self.floor), self.clock()
        try:
            reply[WEIGHTS] = fetch(reply[WEIGHTS], expected, cell_of(self.fl_ctx), self.abort_signal, seconds)
        except TooSlowError:
            self.fetches.forget(load.site)
            raise
        self.fetches.note(load, self.clock() - begin)

    def _note(self, site: str, result: Result[Weights], reply: Any) -> None:
        """Count what a result brought, and learn what its hospital holds."""
        if result.weights is not None:
            self._traffic.came(site, result.weights)
        self._traffic.told(site, held_of(reply))

    def _give_up(
        self, standing: dict[str, Sent], silence: Mapping[str, float], waits: Mapping[str, float]
    ) -> Iterator[Outcome]:
        absence = self._absence()
        for task_id, sent in list(standing.items()):
            site = sent.task.site
            wait = waits[site] if silence[site] > waits[site] else None
            lost = absence(sent.task) or _loss(sent, wait)
            if lost:
                self._finish(standing.pop(task_id).flare_task)
                if lost.kind is Loss.SILENT:
                    self.answers.forget(site)
                yield sent.task, lost

    def _absence(self) -> Callable[[Task], Lost | None]:
        """Look once who was removed, left or has no process any more; gives the loss of such a hospital's task."""
        removed, dead, left = self.removed(), self.dead(), self.left()

        def loss(task: Task) -> Lost | None:
            if task.site in removed:
                return Lost.of(task, REMOVED, Loss.REMOVED)
            if task.site in left:
                return Lost.of(task, left[task.site].value, left[task.site].loss)
            died = task.site in dead or self.controller.get_client_disconnect_time(task.site)
            return Lost.of(task, DIED, Loss.DIED) if died else None

        return loss

    def _trim(self, last: float) -> float:
        """Give back, now and then, what FLARE's threads have freed after sending; when that was done last."""
        now = self.clock()
        if now - last < TRIM_SECONDS:
            return last
        give_back(self._largest)
        return now

    def _finish(self, flare_task: FlareTask) -> None:
        """End a task and drop its weights; FLARE's own bookkeeping would keep them until the end of the run."""
        _forget_resends(flare_task)
        if flare_task.completion_status is None:
            self.controller.cancel_task(flare_task, fl_ctx=self.fl_ctx)
        flare_task.data = None


def _loss(sent: Sent, silent: float | None) -> Lost | None:
    """The loss of a task that can no longer be hoped for; `silent` are the seconds that were too long."""
    if silent is not None:
        return Lost.of(sent.task, f"no answer for {silent:g} s", Loss.SILENT)
    status = sent.flare_task.completion_status
    if status is None or status == TaskCompletionStatus.OK:
        return None
    return Lost.of(sent.task, f"FLARE ended the task: {getattr(status, 'value', status)}")


def _at_work(
    standing: Iterable[Sent], silence: Mapping[str, float], waits: Mapping[str, float]
) -> Mapping[str, AtWork]:
    """Who is at what, in the order in which the tasks were sent."""
    tasks: dict[str, list[Task]] = {}
    for sent in standing:
        tasks.setdefault(sent.task.site, []).append(sent.task)
    return {site: AtWork(tuple(found), silence[site], waits[site]) for site, found in tasks.items()}


def load_of(assignment: Assignment[Weights]) -> Load:
    """What the time of an assignment depends on."""
    return Load.of(assignment.task, sum(map(nbytes, assignment.models.values())))


def open_reply(task: Task, sender: str, reply: Any, wire: TensorWire | None = None) -> Result[Weights] | Lost:
    """What a reply holds: a result that can be trusted to answer `task`, or why not.

    Args:
        task: the work.
        sender: by the name that the server derived from its connection.
        reply: of the hospital.
        wire: how weights travel; None for as they are.
    """
    if sender != task.site:
        return Lost.of(task, "another hospital answered in its place")
    reason = reason_of(reply)
    if reason:
        return Lost.of(task, reason)
    try:
        return decode_result(reply, task, wire)
    except ProtocolError as error:
        return Lost.of(task, str(error))


def _putting(
    inbox: Queue[Arrival], task_id: str, clock: Callable[[], float]
) -> Callable[[ClientTask, FLContext], None]:
    """A tiny callback: FLARE runs it under a lock of the whole controller."""

    def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
        inbox.put(Arrival(task_id, client_task.client.name, client_task.result, clock()))
        client_task.result = None
        _forget_resends(client_task.task)

    return received


def _forget_resends(flare_task: FlareTask) -> None:
    """Keep each client task once: FLARE 2.9.0 lists it again when a client asks twice, and its monitor dies of that."""
    flare_task.client_tasks[:] = list(dict.fromkeys(flare_task.client_tasks))


def _drop_weights(reply: Any) -> None:
    """What was decoded lies elsewhere; a reply that is still looked at, here or in FLARE, holds it no longer."""
    if isinstance(reply, dict):
        reply.pop(WEIGHTS, None)


def _take(inbox: Queue[Arrival]) -> Arrival | None:
    try:
        return inbox.get(timeout=POLL_SECONDS)
    except Empty:
        return None
