"""Carries assignments over FLARE: one task each, all of a stage at once, gathered as they arrive."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, Queue
from typing import Any

from nvflare.apis.controller_spec import ClientTask, TaskCompletionStatus
from nvflare.apis.controller_spec import Task as FlareTask
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal
from torch import Tensor

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Assignment, Lost, Result, Stage, Task
from fedefm.flare.envelope import Weights, decode_result, encode_assignment, reason_of, task_name
from fedefm.flare.fetching import fetch, leave_at_sender
from fedefm.maths.fingerprint import weights_sha256

POLL_SECONDS = 0.1
START_SECONDS = 120.0  # a hospital's process may need this long to start, before its first answer
DIED = "its job process died"
BACKSTOP_SECONDS = 30  # by which FLARE's own time-out follows ours

Outcome = tuple[Task, Result[Weights] | Lost]
Arrival = tuple[str, str, Any]


class FlareTransport:
    """A `Transport` over a FLARE controller.

    A hospital that has sent nothing for `timeout` seconds, counted from the start of the stage or from its last
    result, has all its open tasks of the stage given up: hosts work on their visitors one after another, so a time-out
    that ran for each task from the start would punish the last in the queue. The first stage allows for cold starts.

    Attributes:
        controller: schedules and cancels the tasks.
        fl_ctx: context of the run.
        abort_signal: FLARE's request to end the run.
        timeout: seconds without any answer after which a hospital's work is given up.
        clock: seconds, rising.
    """

    def __init__(
        self,
        controller: Controller,
        fl_ctx: FLContext,
        abort_signal: Signal,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.controller = controller
        self.fl_ctx = fl_ctx
        self.abort_signal = abort_signal
        self.timeout = timeout
        self.clock = clock
        leave_at_sender(fl_ctx)

    def perform(self, assignments: Sequence[Assignment[Weights]]) -> Iterator[Outcome]:
        """Send all tasks, then yield each result or loss as it becomes known.

        Raises:
            ProtocolError: the run was aborted.
        """
        inbox: Queue[Arrival] = Queue()
        tasks = {a.task.id: a.task for a in assignments}
        patience = self.timeout + (START_SECONDS if any(t.stage is Stage.PREPARE for t in tasks.values()) else 0.0)
        standing = self._schedule(assignments, inbox, patience)
        heard = dict.fromkeys((t.site for t in tasks.values()), self.clock())
        try:
            while standing:
                if self.abort_signal.triggered:
                    raise ProtocolError("the run was aborted")
                arrived = _take(inbox)
                if arrived and arrived[0] in standing:
                    task = tasks[arrived[0]]
                    heard[task.site] = self.clock()
                    self._finish(standing.pop(task.id))
                    yield task, self._open(task, *arrived[1:])
                elif not arrived:
                    yield from self._give_up(standing, tasks, heard, patience)
        finally:
            for flare_task in standing.values():
                self._finish(flare_task)

    def _schedule(
        self, assignments: Sequence[Assignment[Weights]], inbox: Queue[Arrival], patience: float
    ) -> dict[str, FlareTask]:
        digest, queue_length = _cached_digest(), Counter(a.task.site for a in assignments)
        standing = {}
        for assignment in assignments:
            task = assignment.task
            flare_task = FlareTask(
                name=task_name(task.stage),
                data=encode_assignment(assignment, digest),
                timeout=int(patience * queue_length[task.site]) + BACKSTOP_SECONDS,
                result_received_cb=_putting(inbox, task.id),
            )
            self.controller.send(task=flare_task, fl_ctx=self.fl_ctx, targets=[task.site])
            standing[task.id] = flare_task
        return standing

    def _open(self, task: Task, sender: str, reply: Any) -> Result[Weights] | Lost:
        """What a reply holds; the tensors of a hospital that has died since cannot be had, and are not waited for."""
        if self.controller.get_client_disconnect_time(sender):
            return Lost.of(task, DIED)
        try:
            return open_reply(task, sender, fetch(reply, self.fl_ctx, self.abort_signal))
        except ProtocolError as error:
            return Lost.of(task, str(error))
        except Exception:  # whatever a hospital sends is its own loss; no word of it is repeated
            return Lost.of(task, "sent something that cannot be read")

    def _give_up(
        self, standing: dict[str, FlareTask], tasks: Mapping[str, Task], heard: Mapping[str, float], patience: float
    ) -> Iterator[Outcome]:
        for task_id in list(standing):
            task = tasks[task_id]
            silent = self.clock() - heard[task.site] > patience
            reason = self._loss(standing[task_id], task.site, patience if silent else None)
            if reason:
                self._finish(standing.pop(task_id))
                yield task, Lost.of(task, reason)

    def _loss(self, flare_task: FlareTask, site: str, silent: float | None) -> str | None:
        """Why a task can no longer be hoped for; `silent` are the seconds for which a hospital was waited too long."""
        if self.controller.get_client_disconnect_time(site):
            return DIED
        if silent is not None:
            return f"no answer for {silent:g} s"
        status = flare_task.completion_status
        if status is None or status == TaskCompletionStatus.OK:
            return None
        return f"FLARE ended the task: {getattr(status, 'value', status)}"

    def _finish(self, flare_task: FlareTask) -> None:
        """End a task and drop its weights; FLARE's own bookkeeping would keep them until the end of the run."""
        _forget_resends(flare_task)
        if flare_task.completion_status is None:
            self.controller.cancel_task(flare_task, fl_ctx=self.fl_ctx)
        flare_task.data = None


def open_reply(task: Task, sender: str, reply: Any) -> Result[Weights] | Lost:
    """What a reply holds: a result that can be trusted to answer `task`, or why not."""
    if sender != task.site:
        return Lost.of(task, "another hospital answered in its place")
    reason = reason_of(reply)
    if reason:
        return Lost.of(task, reason)
    try:
        return decode_result(reply, task)
    except ProtocolError as error:
        return Lost.of(task, str(error))


def _putting(inbox: Queue[Arrival], task_id: str) -> Callable[[ClientTask, FLContext], None]:
    """A tiny callback: FLARE runs it under a lock of the whole controller."""

    def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
        inbox.put((task_id, client_task.client.name, client_task.result))
        client_task.result = None
        _forget_resends(client_task.task)

    return received


def _forget_resends(flare_task: FlareTask) -> None:
    """Keep each client task once: FLARE 2.9.0 lists it again when a client asks twice, and its monitor dies of that."""
    flare_task.client_tasks[:] = list(dict.fromkeys(flare_task.client_tasks))


def _take(inbox: Queue[Arrival]) -> Arrival | None:
    try:
        return inbox.get(timeout=POLL_SECONDS)
    except Empty:
        return None


def _cached_digest() -> Callable[[Mapping[str, Tensor]], str]:
    """Hash each set of weights once a stage: a visitor's go to many hosts. Callers keep the weights alive."""
    known: dict[int, str] = {}

    def digest(weights: Mapping[str, Tensor]) -> str:
        if id(weights) not in known:
            known[id(weights)] = weights_sha256(weights)
        return known[id(weights)]

    return digest
