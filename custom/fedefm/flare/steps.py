"""Gradient steps on their way: a hospital tells them through FLARE's metric streaming, and the server reads them.

What travels is a number of steps, of work whose steps the server itself has set: it says nothing of an image.
The sender's name is what FLARE's message says: nothing but what is shown hangs on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData, AnalyticsDataType
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo

from fedefm.exchange.messages import Task
from fedefm.flare.metrics import place_of

FED_EVENT = f"fed.{ANALYTIC_EVENT_TYPE}"
TELL_SECONDS = 2.0
MAX_STEPS = 10**9


class StepsTold(NamedTuple):
    """What a hospital says of its steps.

    Attributes:
        site: who says it, by its own word.
        tag: names the work within its round.
        round: from 0.
        step: steps done.
    """

    site: str
    tag: str
    round: int
    step: int


def steps_tag(task: Task) -> str:
    """Names a task's steps among the figures of its hospital and round."""
    return f"steps/{place_of(task)}"


class StepTeller:
    """Told every gradient step of a task, it tells the server one every other second.

    Args:
        sender: fires FLARE's events.
        fl_ctx: of the task.
        clock: seconds, rising.
    """

    def __init__(self, sender: FLComponent, fl_ctx: FLContext, clock: Callable[[], float] = time.monotonic):
        self._sender, self._fl_ctx, self._clock = sender, fl_ctx, clock
        self._next = clock() + TELL_SECONDS

    def __call__(self, task: Task, step: int, loss: float) -> None:
        """A step, from 0, is done; short work is not told of."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + TELL_SECONDS
        dxo = create_analytic_dxo(steps_tag(task), step + 1, AnalyticsDataType.SCALAR, global_step=task.round)
        send_analytic_dxo(self._sender, dxo, self._fl_ctx)


def steps_told(fl_ctx: FLContext) -> StepsTold | None:
    """What a streamed figure says of steps; None for any other, and for whatever cannot be read."""
    try:
        return _read(fl_ctx.get_prop(FLContextKey.EVENT_DATA))
    except Exception:  # a peer's bytes, through FLARE's reader: whatever is wrong with them, nothing is shown
        return None


def _read(data: Any) -> StepsTold | None:
    if not isinstance(data, Shareable):
        return None
    site, found = data.get_peer_prop(ReservedKey.IDENTITY_NAME, None), AnalyticsData.from_dxo(from_shareable(data))
    if found is None or not isinstance(site, str) or not found.tag.startswith("steps/"):
        return None
    step, round_ = found.value, found.step
    if not (0 < step <= MAX_STEPS and 0 <= round_ <= MAX_STEPS):
        return None
    return StepsTold(site, found.tag, int(round_), int(step))
