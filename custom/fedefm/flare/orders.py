"""Only the server gives orders, and a hospital speaks in its own name alone: FLARE 2.9.0 sees to neither.

A process of FLARE does what a message says, by its channel and topic. The server's main process carries the messages
between a hospital and the server's job, and would carry them from one hospital to another. It asks for a token; whose
connection a message came by it does not compare with whom the message says that it is from, and any hospital's token
will do for any order: `abort` or `handle_dead_job` to the job, `update_run_status` to the main process, `abort` to
another hospital's job. Here a message is held against the end point whose connection it came by, which FLARE holds
against the certificate, and passes only if it stands on the list of what a hospital's work needs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import CellMessageAuthHeaderKey, ReservedTopic, ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.fuel.f3.cellnet.defs import (
    CellChannel,
    CellChannelTopic,
    MessageHeaderKey,
    MessagePropKey,
    MessageType,
    ReturnCode,
)
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.registry import Callback
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.download_service import (
    OBJ_DOWNLOADER_CHANNEL,
    OBJ_DOWNLOADER_TOPIC,
    SOURCE_FAILURE_TOPIC,
)
from nvflare.fuel.f3.streaming.stream_const import (
    STREAM_ACK_TOPIC,
    STREAM_CHANNEL,
    STREAM_DATA_TOPIC,
    STREAM_ERROR_TOPIC,
    StreamHeaderKey,
)
from nvflare.fuel.f3.streaming.stream_types import BlobSizeError
from nvflare.fuel.sec.audit import AuditService
from nvflare.fuel.utils.admin_name_utils import is_valid_admin_client_name
from nvflare.private.stream_runner import TOPIC_STREAM_ABORT, TOPIC_STREAM_REQUEST
from nvflare.widgets.fed_event import FED_EVENT_TOPIC

from fedefm.errors import visible
from fedefm.flare.outcomes import keep_failures_at_home

LOG = logging.getLogger(__name__)
SERVER = FQCN.ROOT_SERVER
ANY = "*"
ACTION = "refused_message"  # in the audit
SECONDS = 60.0  # between two lines about one certificate

Purpose = tuple[str, str]  # channel and topic; the topic may be ANY

REPLIES: frozenset[Purpose] = frozenset({(CellChannel.RETURN_ONLY, ANY)})
TO_MAIN: frozenset[Purpose] = REPLIES | frozenset(
    {
        (CellChannel.SERVER_MAIN, CellChannelTopic.Challenge),
        (CellChannel.SERVER_MAIN, CellChannelTopic.Register),
        (CellChannel.SERVER_MAIN, CellChannelTopic.HEART_BEAT),
        (CellChannel.SERVER_MAIN, CellChannelTopic.REPORT_JOB_FAILURE),
        (CellChannel.SERVER_MAIN, CellChannelTopic.Quit),
        (CellChannel.CELLNET, CellChannelTopic.Bye),
    }
)
TO_JOB: frozenset[Purpose] = REPLIES | {
    (CellChannel.SERVER_COMMAND, ServerCommandNames.GET_TASK),
    (CellChannel.SERVER_COMMAND, ServerCommandNames.SUBMIT_UPDATE),
    (CellChannel.AUX_COMMUNICATION, ReservedTopic.SYNC_RUNNER),
    (CellChannel.AUX_COMMUNICATION, ReservedTopic.JOB_HEART_BEAT),
    (CellChannel.AUX_COMMUNICATION, ReservedTopic.TASK_CHECK),
    (CellChannel.AUX_COMMUNICATION, FED_EVENT_TOPIC),
    (OBJ_DOWNLOADER_CHANNEL, OBJ_DOWNLOADER_TOPIC),
    (OBJ_DOWNLOADER_CHANNEL, SOURCE_FAILURE_TOPIC),
}
OF_PEOPLE: frozenset[Purpose] = REPLIES | {
    (CellChannel.SERVER_MAIN, CellChannelTopic.Challenge),
    (CellChannel.SERVER_MAIN, CellChannelTopic.Register),
    (CellChannel.CELLNET, CellChannelTopic.Bye),
    (CellChannel.HCI, ANY),
    (CellChannel.AUX_COMMUNICATION, TOPIC_STREAM_REQUEST),  # a job on its way to the server
    (CellChannel.AUX_COMMUNICATION, TOPIC_STREAM_ABORT),
    (OBJ_DOWNLOADER_CHANNEL, OBJ_DOWNLOADER_TOPIC),
    (OBJ_DOWNLOADER_CHANNEL, SOURCE_FAILURE_TOPIC),
}


@dataclass(frozen=True)
class Claim:
    """What a message says of itself, any of which may be a lie or no text at all, and whose connection it came by.

    Attributes:
        peer: name of the end point at the other side of the connection.
        origin: end point that the message says it is from.
        destination: end point that it is for.
        kind: a request, a reply, or a request that comes back undelivered.
        channel: what it is for; of a stream, what the stream is for.
        topic: the same, more closely.
        name: whose token it brings; None for nobody's.
        certificate: the name on the certificate of the connection; None where it has none, inside one machine.
        stream: the topic of the stream's part, None where the message is no part of one.
        failed: of what comes back undelivered, the end point that it was for.
        error: of a stream's part, the kind of error that it tells.
    """

    peer: Any
    origin: Any
    destination: Any
    kind: Any
    channel: Any
    topic: Any
    name: Any = None
    certificate: Any = None
    stream: Any = None
    failed: Any = None
    error: Any = None


def claim_of(message: Message) -> Claim:
    """What a message claims, by its headers; its payload is not looked at."""
    head = message.get_header
    channel, topic, stream = head(MessageHeaderKey.CHANNEL), head(MessageHeaderKey.TOPIC), None
    failed = head(StreamHeaderKey.FAILED_DESTINATION)
    if channel == STREAM_CHANNEL:
        stream, channel, topic = topic, head(StreamHeaderKey.CHANNEL), head(StreamHeaderKey.TOPIC)
    if head(MessageHeaderKey.MSG_TYPE) == MessageType.RETURN:
        before = head(MessageHeaderKey.ORIGINAL_HEADERS)
        failed = before.get(MessageHeaderKey.DESTINATION) if isinstance(before, dict) else None
    return Claim(
        peer=getattr(message.get_prop(MessagePropKey.ENDPOINT), "name", None),
        origin=head(MessageHeaderKey.ORIGIN),
        destination=head(MessageHeaderKey.DESTINATION),
        kind=head(MessageHeaderKey.MSG_TYPE),
        channel=channel,
        topic=topic,
        name=head(CellMessageAuthHeaderKey.CLIENT_NAME),
        certificate=message.get_prop(MessagePropKey.COMMON_NAME),
        stream=stream,
        failed=failed,
        error=head(StreamHeaderKey.ERROR_TYPE),
    )


def wrong_at_server(claim: Claim) -> str | None:
    """Why the server's main process refuses a message, whether for itself or to be carried on; None for no reason.

    The server's own processes may say anything. Everybody else speaks in their own name, to the server alone, and only
    of what is on their list.
    """
    if family(claim.peer) == SERVER:
        return None if family(claim.origin) == SERVER else "in another's name"
    own = claim.certificate or family(claim.peer)
    if not family(claim.peer) or family(claim.origin) != family(claim.peer) or claim.name not in (None, own):
        return "in another's name"
    if not isinstance(claim.destination, str) or family(claim.destination) != SERVER:
        return "to another hospital"
    if claim.kind == MessageType.REPLY:
        return None
    if claim.kind == MessageType.RETURN:
        return None if family(claim.failed) == family(claim.peer) else "in another's name"
    if claim.kind != MessageType.REQ:
        return "of no kind"
    return _wrong_request(claim)


def wrong_at_hospital(claim: Claim, site: str) -> str | None:
    """Why a hospital's process refuses a message; None for no reason.

    Args:
        claim: what it claims.
        site: the hospital's name.
    """
    known = (SERVER, site)
    return None if family(claim.peer) in known and family(claim.origin) in known else "of another site"


def family(name: Any) -> str:
    """The site that an end point belongs to: `server` of `server.JOB`; nobody where it has no name."""
    return name.split(".")[0] if isinstance(name, str) else ""


def _wrong_request(claim: Claim) -> str | None:
    if claim.stream in (STREAM_ACK_TOPIC, STREAM_ERROR_TOPIC):
        return _wrong_end_of_stream(claim)
    if claim.stream not in (None, STREAM_DATA_TOPIC):
        return "that is an order"
    return None if _is_in(_allowed(claim), claim.channel, claim.topic) else "that is an order"


def _wrong_end_of_stream(claim: Claim) -> str | None:
    """Of streams that go to a hospital it may say how far it is, and that it takes no more."""
    if claim.failed is not None and family(claim.failed) != family(claim.peer):
        return "in another's name"
    return "that would end the server's process" if claim.error == BlobSizeError.__name__ else None


def _allowed(claim: Claim) -> Collection[Purpose]:
    """What this peer may ask of this process of the server."""
    depth = len(claim.destination.split("."))
    if is_valid_admin_client_name(claim.peer):
        return OF_PEOPLE if depth == 1 else ()
    return {1: TO_MAIN, 2: TO_JOB}.get(depth, ())


def _is_in(allowed: Collection[Purpose], channel: Any, topic: Any) -> bool:
    if not isinstance(channel, str) or not isinstance(topic, str):
        return False
    return (channel, topic) in allowed or (channel, ANY) in allowed


@dataclass
class Tally:
    """What was refused, by certificate; at most one line a minute about each, so that no flood fills a disk.

    Attributes:
        counts: messages refused so far, by the name on the certificate.
        told: the count in the last line about it, and when that was.
        latest: what was refused last.
    """

    counts: dict[str, int] = field(default_factory=dict)
    told: dict[str, tuple[int, float]] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def note(self, name: str, what: str, now: float) -> list[str]:
        """Count one message, and give the lines that are to be written now."""
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            self.latest[name] = what
            return self._due(now)

    def rest(self, now: float) -> list[str]:
        """Lines about what was refused since the last ones, where their minute is over."""
        with self._lock:
            return self._due(now)

    def _due(self, now: float) -> list[str]:
        lines = []
        for name, count in self.counts.items():
            before, when = self.told.get(name, (0, -SECONDS))
            if count > before and now - when >= SECONDS:
                self.told[name] = (count, now)
                lines.append(f"{name}: {self.latest[name]}; refused, {count} of this certificate so far")
        return lines


def described(claim: Claim, wrong: str) -> str:
    """A refused message in words: where it was going and what for; names that a peer chose stand escaped and cut."""
    purpose = f"{_short(claim.channel)}/{_short(claim.topic)}"
    return f"a message {wrong} ({purpose}) from {_short(claim.origin)} to {_short(claim.destination)}"


def _short(value: Any) -> str:
    return visible(value)[:64] if isinstance(value, str) else "?"


def watch_over(cell: Any, tally: Tally) -> None:
    """Check each message that comes to an end point, before all that FLARE itself does with it.

    Args:
        cell: FLARE's end point of this process.
        tally: where refused messages are counted.

    Raises:
        UnsafeComponentError: FLARE would pass by the check for some messages.
    """
    registry, name = cell.in_filter_reg, cell.get_fqcn()
    here = f"{ANY}:{ANY}"
    if set(registry.reg) - {here}:
        raise UnsafeComponentError("a filter of a single channel hides the one of all channels")
    wrong: Callable[[Claim], str | None] = wrong_at_server
    if name != SERVER:
        wrong = partial(wrong_at_hospital, site=family(name))

    def refuse(message: Message) -> Message | None:
        """Drop a message that must not pass; FLARE drops it as well if this fails."""
        claim = claim_of(message)
        reason = wrong(claim)
        if reason is None:
            return None
        tell(tally.note(_short(claim.certificate or claim.peer), described(claim, reason), time.monotonic()))
        dropped: Message = make_reply(ReturnCode.AUTHENTICATION_ERROR)
        return dropped

    registry.set(ANY, ANY, [Callback(refuse, (), {}), *registry.reg.get(here, ())])


def tell(lines: Iterable[str]) -> None:
    """Write lines into the site's log and its audit."""
    for line in lines:
        LOG.warning(line)
        AuditService.add_event(user=line.partition(":")[0], action=ACTION, msg=line)


class OrderGuard(FLComponent):
    """A component of the server's and of each hospital's `local/resources.json`; it is in place before any job runs."""

    def __init__(self) -> None:
        super().__init__()
        self._tally = Tally()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Get in place before the site joins the federation; from then on, tell now and then what is left to tell.

        Raises:
            UnsafeComponentError: it cannot be in place. FLARE then ends the process.
        """
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            try:
                core_cell = fl_ctx.get_engine().get_cell().core_cell
                watch_over(core_cell, self._tally)
                if core_cell.get_fqcn() == SERVER:
                    keep_failures_at_home(core_cell)
            except Exception as error:
                raise UnsafeComponentError(f"messages cannot be checked ({type(error).__name__}: {error})") from error
        elif event_type in (EventType.CLIENT_HEARTBEAT_PROCESSED, EventType.SYSTEM_END):
            over = event_type == EventType.SYSTEM_END
            tell(self._tally.rest(math.inf if over else time.monotonic()))
