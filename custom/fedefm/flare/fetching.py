"""Results stay at their hospital until the server asks for their tensors, one result after another.

FLARE 2.9.0 fetches a result's tensors while it decodes the message, and ends the server's whole job process if that
fails (`StreamCell`, `os._exit(1)`): a hospital that dies at that moment would end everyone's job. Left where they are
until the workflow wants them, they cost the server no memory either, and a hospital that is gone is one loss.

What is fetched is known before: the tensors that were sent to be trained, by name and size, or what the task says that
it brings. Other names are refused
unseen; a hospital that sends more bytes, or sends them too slowly, is stopped while it sends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.apis.fl_constant import ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.app_opt.pt.tensor_downloader import TensorConsumer
from nvflare.fuel.f3.cellnet.defs import CellChannel
from nvflare.fuel.f3.streaming.blob_streamer import BlobHandler
from nvflare.fuel.f3.streaming.download_service import download_object
from nvflare.fuel.utils.fobs import dots
from nvflare.fuel.utils.fobs.decomposers.via_downloader import LazyDownloadRef
from torch import Tensor

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import STUDENT, Assignment
from fedefm.maths.size import nbytes

SUBMISSION = (CellChannel.SERVER_COMMAND, ServerCommandNames.SUBMIT_UPDATE)
SPARE_SHARE = 0.01  # of the bytes of the tensors
SPARE_TENSOR = 1024  # bytes for the header of each: its name, dtype and shape
SPARE_MESSAGE = 16_000_000  # bytes for what FLARE says besides, and for its chunks of small tensors
REQUEST_SECONDS = 60.0  # after which FLARE asks for a chunk again, as far as the patience allows
GONE = "its weights could not be fetched; it is gone, or its connection broke"


class TooSlowError(ProtocolError):
    """The tensors did not come in time."""


@dataclass(frozen=True)
class Expected:
    """What may be fetched for one result.

    Attributes:
        site: the hospital that must hold the tensors.
        sizes: bytes of every tensor by its name, or the most that it may have; empty where a task brings none back.
    """

    site: str
    sizes: Mapping[str, int]

    @classmethod
    def like(cls, site: str, weights: Mapping[str, Tensor]) -> Expected:
        """Tensors of the names and sizes of these; where values travel in half precision, less may come."""
        return cls(site, {name: tensor.nbytes for name, tensor in weights.items()})

    @classmethod
    def of(cls, assignment: Assignment[Any]) -> Expected:
        """What the task says that it brings, else tensors like the student's that went with it."""
        if assignment.brings is not None:
            return cls(assignment.task.site, assignment.brings)
        return cls.like(assignment.task.site, assignment.models.get(STUDENT, {}))

    @property
    def limit(self) -> int:
        """Most bytes that they may have on the wire."""
        return int(sum(self.sizes.values()) * (1 + SPARE_SHARE)) + SPARE_TENSOR * len(self.sizes)


def leave_at_sender(fl_ctx: FLContext) -> None:
    """Let results arrive with references in place of tensors, until the run ends."""
    cell_of(fl_ctx).decode_pass_through_topics.add(SUBMISSION)


def bound_messages(cell: Any, tensors: int) -> None:
    """Refuse every message that cannot belong to this job before it is in memory, whoever sends it.

    FLARE holds the size that a message declares, and the bytes that come, against one limit for each kind of message.

    Args:
        cell: FLARE's end point of this job.
        tensors: bytes of the largest weights of the job.
    """
    limit = tensors + SPARE_MESSAGE
    for callback in cell.byte_receiver.registry.reg.values():
        handler = getattr(callback.cb, "__self__", None)
        if isinstance(handler, BlobHandler):
            handler.max_blob_size = limit


def fetch(value: Any, expected: Expected, cell: Any, abort_signal: Signal, seconds: float) -> Any:
    """A result's weights with their tensors, which come from the hospital that sent it.

    Args:
        value: what stands in the result for its weights; what holds no reference to tensors is given back as it is.
        expected: which tensors may come.
        cell: FLARE's end point of this job.
        abort_signal: FLARE's request to end the run.
        seconds: longest time for all of it.

    Raises:
        TooSlowError: they did not come in time.
        ProtocolError: they are others than expected, or cannot be had.
    """
    if not isinstance(value, dict) or not any(isinstance(item, LazyDownloadRef) for item in value.values()):
        return value
    source = _source(value, expected)
    over = _Deadline(abort_signal, seconds)
    consumer = _BoundedConsumer(expected)
    try:
        download_object(
            from_fqcn=source.fqcn,
            ref_id=source.ref_id,
            consumer=consumer,
            per_request_timeout=min(REQUEST_SECONDS, seconds),
            cell=cell,
            abort_signal=over,
        )
        if consumer.error is None:
            return {name: consumer.result[ref.item_id] for name, ref in value.items()}
    except Exception as error:
        raise ProtocolError(GONE) from error
    finally:
        late = over.triggered
        over.trigger("the fetch is over")  # a request that FLARE has sent ahead ends too
    if consumer.refusal:
        raise ProtocolError(consumer.refusal)
    if late and not abort_signal.triggered:
        raise TooSlowError(f"its weights did not come within {seconds:g} s")
    raise ProtocolError(GONE)


def cell_of(fl_ctx: FLContext) -> Any:
    """FLARE's end point of this job."""
    return fl_ctx.get_engine().get_cell()


def _source(value: Mapping[Any, Any], expected: Expected) -> LazyDownloadRef:
    """Where all tensors lie: one place of the hospital itself, and none but the expected tensors.

    Raises:
        ProtocolError: it is anything else.
    """
    if value.keys() != expected.sizes.keys():
        raise ProtocolError("offers other tensors than those that it was asked for; they are not fetched")
    references = list(value.values())
    if not all(type(item) is LazyDownloadRef and item.dot == dots.TENSOR_DOWNLOAD for item in references):
        raise ProtocolError("offers something that is no tensor; it is not fetched")
    first = references[0]
    if len({(ref.fqcn, ref.ref_id) for ref in references}) != 1 or len({r.item_id for r in references}) != len(value):
        raise ProtocolError("offers tensors from several places, or one of them twice; they are not fetched")
    if not isinstance(first.fqcn, str) or expected.site not in first.fqcn.split("."):
        raise ProtocolError("offers tensors of another hospital; they are not fetched")
    return first


class _Deadline(Signal):
    """Triggered when time is up, or with the signal that ends the run."""

    def __init__(self, abort_signal: Signal, seconds: float, clock: Callable[[], float] = time.monotonic):
        super().__init__(abort_signal)
        self._clock, self._end = clock, clock() + seconds

    @property
    def triggered(self) -> bool:
        return super().triggered or self._clock() >= self._end


class _BoundedConsumer(TensorConsumer):  # type: ignore[misc]
    """Takes tensors as they come, and no byte more than expected.

    Attributes:
        refusal: why it took no more, in words of this package; None if it has not refused anything.
    """

    def __init__(self, expected: Expected):
        super().__init__(None, {})
        self._left, self._tensors = expected.limit, len(expected.sizes)
        self.refusal: str | None = None

    def consume_items(self, items: list[Any], result: Any) -> Any:
        """Count before anything is decoded."""
        if not all(isinstance(item, (bytes, bytearray, memoryview)) for item in items):
            raise self._refuse("sends something that is no tensor; the rest is not fetched")
        self._left -= sum(memoryview(item).nbytes for item in items)
        self._tensors -= len(items)
        if self._left < 0 or self._tensors < 0:
            raise self._refuse("sends more than the weights that it was asked for; the rest is not fetched")
        return super().consume_items(items, result)

    def _refuse(self, reason: str) -> ProtocolError:
        self.refusal = reason
        return ProtocolError(reason)


def largest(models: Iterable[Mapping[str, Tensor]]) -> int:
    """Bytes of the largest of these weights; 0 without any."""
    return max(map(nbytes, models), default=0)
