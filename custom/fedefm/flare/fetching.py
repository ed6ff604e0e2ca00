"""Results stay at their hospital until the server asks for their tensors, one result after another.

FLARE 2.9.0 fetches a result's tensors while it decodes the message, and ends the server's whole job process if that
fails (`StreamCell`, `os._exit(1)`): a hospital that dies at that moment would end everyone's job. Left where they are
until the workflow wants them, they cost the server no memory either, and a hospital that is gone is one loss.
"""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_constant import ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.apis.utils.task_utils import materialize_lazy_download_refs
from nvflare.fuel.f3.cellnet.defs import CellChannel

from fedefm.errors import ProtocolError

SUBMISSION = (CellChannel.SERVER_COMMAND, ServerCommandNames.SUBMIT_UPDATE)


def leave_at_sender(fl_ctx: FLContext) -> None:
    """Let results arrive with references in place of tensors, until the run ends."""
    cell_of(fl_ctx).decode_pass_through_topics.add(SUBMISSION)


def fetch(reply: Any, fl_ctx: FLContext, abort_signal: Signal) -> Any:
    """The reply with its tensors, which come from the hospital that sent it.

    Raises:
        ProtocolError: they cannot be had; the hospital is gone, or its connection broke.
    """
    try:
        return materialize_lazy_download_refs(reply, cell_of(fl_ctx), abort_signal)
    except Exception as error:
        raise ProtocolError("its weights could not be fetched; it is gone, or its connection broke") from error


def cell_of(fl_ctx: FLContext) -> Any:
    """FLARE's end point of this job."""
    return fl_ctx.get_engine().get_cell()
