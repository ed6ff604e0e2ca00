"""What the process of a server's job would do on one hospital's word: three ways to end or spoil everyone's job.

The main process keeps orders from it (`flare/orders.py`). These come as a hospital's own work, which must pass:

| what a hospital sends | what FLARE 2.9.0 does |
| --- | --- |
| an event of any name, as it sends its figures | fires it at the server: `_fatal_system_error` ends the job |
| a result that cannot be decoded | ends the whole process at once |
| an acknowledgement of another hospital's stream, whose number can be guessed | stops sending to that hospital |
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.apis.fl_constant import FedEventHeader, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.fuel.f3.cellnet.cell import Adapter
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey
from nvflare.fuel.f3.cellnet.fqcn import FqcnInfo
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.blob_streamer import BlobHandler
from nvflare.fuel.f3.streaming.byte_streamer import ByteStreamer
from nvflare.fuel.f3.streaming.stream_const import STREAM_ACK_TOPIC, STREAM_CHANNEL, StreamHeaderKey
from nvflare.widgets.fed_event import FED_EVENT_TOPIC

from fedefm.flare.orders import SERVER

LOG = logging.getLogger(__name__)
FIGURES = f"fed.{ANALYTIC_EVENT_TYPE}"

Handler = Callable[..., Shareable]


def guard_job(fl_ctx: FLContext) -> None:
    """Close all three, before the job's first task. What FLARE no longer has where it is looked for is an error.

    Raises:
        KeyError, AttributeError: FLARE is not as 2.9.0 is; the job does not run.
    """
    engine = fl_ctx.get_engine()
    take_figures_alone(engine.run_manager.aux_runner.topic_table)
    cell = engine.get_cell()
    outlive_what_cannot_be_decoded(cell)
    hear_receivers_alone(cell.core_cell)


def take_figures_alone(handlers: dict[str, Handler]) -> None:
    """Of the events that a hospital sends, take its figures.

    Args:
        handlers: FLARE's own, by topic.
    """
    fire = handlers[FED_EVENT_TOPIC]

    def figures(topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        if request.get_header(FedEventHeader.EVENT_TYPE) != FIGURES:
            LOG.warning("an event of a hospital that is no figure is refused")
            refused: Shareable = make_reply(ReturnCode.BAD_REQUEST_DATA)
            return refused
        return fire(topic=topic, request=request, fl_ctx=fl_ctx)

    handlers[FED_EVENT_TOPIC] = figures


def outlive_what_cannot_be_decoded(cell: Any) -> None:
    """Let a request that cannot be decoded fail by itself. FLARE ends the process where its name is that of a job."""
    callbacks = [callback.cb for callback in cell.byte_receiver.registry.reg.values()]
    handlers = [one.__self__ for one in callbacks if isinstance(getattr(one, "__self__", None), BlobHandler)]
    adapters = [getattr(one.blob_cb, "__self__", None) for one in handlers]
    for adapter in (one for one in adapters if isinstance(one, Adapter)):
        adapter.my_info = FqcnInfo(SERVER)


def hear_receivers_alone(core_cell: Any) -> None:
    """Of a stream that goes to one hospital, let that one alone say how far it is."""
    acknowledge = core_cell.req_reg.find(STREAM_CHANNEL, STREAM_ACK_TOPIC)

    def from_its_receiver(message: Message) -> None:
        task = ByteStreamer.tx_task_map.get(message.get_header(StreamHeaderKey.STREAM_ID))
        if task is not None and task.target != message.get_header(MessageHeaderKey.ORIGIN):
            LOG.warning("word of a stream from whom it does not go to is refused")
            return
        acknowledge.cb(message, *acknowledge.args, **acknowledge.kwargs)

    core_cell.register_request_cb(STREAM_CHANNEL, STREAM_ACK_TOPIC, from_its_receiver)
