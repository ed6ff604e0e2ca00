"""A running job for people: what each hospital is doing, in words, for a terminal and for a page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.report.templates import environment
from fedefm.report.text import data_size, duration
from fedefm.trust.certificates import WARN_BEFORE

LOOKS: Mapping[Condition, tuple[str, str]] = {
    Condition.WORKING: ("●", "good"),
    Condition.WAITING: ("○", "idle"),
    Condition.SLOW: ("◐", "warn"),
    Condition.SILENT: ("?", "warn"),
    Condition.FAILED: ("!", "bad"),
    Condition.AWAY: ("!", "bad"),
    Condition.DIED: ("✕", "bad"),
    Condition.STOPPED: ("■", "bad"),
    Condition.REMOVED: ("⊘", "bad"),
}
"""A mark and a kind for each condition; its word always stands beside them."""

COLOURS = {"good": "green", "idle": "dim", "warn": "yellow", "bad": "red"}
DASH = "–"
DAY = 86_400.0
SCRIPT = (Path(__file__).parent / "live.js").read_text()


@dataclass(frozen=True)
class Row:
    """One hospital in words.

    Attributes:
        site: its name.
        mark: a sign for its condition.
        word: its condition.
        kind: `good`, `idle`, `warn` or `bad`.
        reason: why, or empty.
        work: what it is at.
        steps: how far it is.
        share: the same in [0, 1]; None where it does not say.
        speed: its steps a second.
        until: when this work is done, and when it is given up.
        heartbeat: how long ago its last one came.
        sent: weights that it sent, with their unit.
        received: weights that it was sent.
        done: pieces of work that it has done.
        lost: pieces of work that were lost there.
        certificate: how many days are left of its certificate.
        expiring: `expiring` or `expired` where these are few or none, else empty.
    """

    site: str
    mark: str
    word: str
    kind: str
    reason: str
    work: str
    steps: str
    share: float | None
    speed: str
    until: str
    heartbeat: str
    sent: str
    received: str
    done: int
    lost: int
    certificate: str
    expiring: str


def row_of(one: HospitalStatus, now: float) -> Row:
    """A hospital at the moment `now` of the server's clock."""
    mark, kind = LOOKS[one.condition]
    at = "" if one.stage is None else one.stage.value + (f", hosts {one.visitor}" if one.visitor else "")
    return Row(
        site=one.site,
        mark=mark,
        word=one.condition.value,
        kind=kind,
        reason=one.reason,
        work=at + (f" (+{one.queue} more)" if one.queue else "") or DASH,
        steps=f"{one.step}/{one.steps}" if one.steps else DASH,
        share=one.step / one.steps if one.steps else None,
        speed=DASH if one.steps_per_second is None else f"{one.steps_per_second:.1f} steps/s",
        until=_until(one, now) or DASH,
        heartbeat=DASH if one.heartbeat is None else f"{duration(max(0.0, now - one.heartbeat))} ago",
        sent=data_size(one.sent),
        received=data_size(one.received),
        done=one.done,
        lost=one.lost,
        certificate=days_left(one.certificate_ends, now) or DASH,
        expiring=expiring(one.certificate_ends, now),
    )


def days_left(ends: float | None, now: float) -> str:
    """How long a certificate is good; empty where its end is not known."""
    if ends is None:
        return ""
    left = int((ends - now) // DAY)
    return "ended" if left < 0 else f"{left} {'day' if left == 1 else 'days'} left"


def expiring(ends: float | None, now: float) -> str:
    """One word for a certificate that has to be renewed; empty for any other."""
    if ends is None or ends - now >= WARN_BEFORE.total_seconds():
        return ""
    return "expired" if ends < now else "expiring"


def _until(one: HospitalStatus, now: float) -> str:
    done = "" if one.ends is None else f"done in about {duration(max(0.0, one.ends - now))}"
    given_up = "" if one.given_up is None else f"given up in {duration(max(0.0, one.given_up - now))}"
    return "; ".join(part for part in (done, given_up) if part)


NEXT = {
    "COMPLETED": "fetch it with `fedefm report`",
    "ABANDONED": "its server was lost; submit the same job again, and it goes on from its last whole round",
}
"""What to do after a job, by FLARE's word for its end."""
NEXT_ELSE = "the server's log says why; submit the same job again, and it goes on from its last whole round"


def headline(status: JobStatus) -> str:
    """Where the job is and until when, in one line."""
    if status.end:
        return f"the job has ended: {status.end}"
    if not status.rounds:
        return "the job has begun"
    stage = "" if status.stage is None else f", {status.stage.value}"
    where = f"round {status.round + 1} of {status.rounds}" if status.round < status.rounds else "after the rounds"
    ends = ""
    if status.ends is not None:
        ends = f"; its rounds end in about {duration(max(0.0, status.ends - status.written))}, at {clock(status.ends)}"
    return where + stage + ends


def clock(time: float) -> str:
    """A time of the day, on this machine's clock."""
    return datetime.fromtimestamp(time).strftime("%H:%M:%S")


def told(flare: str, status: JobStatus | None) -> str:
    """The job in one line, whether it runs or not."""
    if status is not None:
        return headline(status) + (f" ({status.note})" if status.note else "")
    state, _, end = flare.partition(":")
    if state == "FINISHED" and end:
        return f"it is over, {end.lower().replace('_', ' ')}: {NEXT.get(end, NEXT_ELSE)}"
    return f"{flare.lower() or 'unknown'}: the server tells of hospitals while the job runs"


def table(job: str, flare: str, status: JobStatus | None) -> RenderableType:
    """A running job for the terminal: a line for each hospital, then one for each that has a reason or an end."""
    head = Text.assemble((f"job {job}", "bold"), f"  {told(flare, status)}")
    if status is None:
        return head
    made, notes = Table(box=None, pad_edge=False, header_style="dim"), list[Text]()
    for name in ("hospital", "is", "at", "steps", "/s", "beat", "sent", "got", "done", "lost"):
        made.add_column(name, no_wrap=name != "at")
    for one, row in ((one, row_of(one, status.written)) for one in status.hospitals):
        beat, speed = row.heartbeat.removesuffix(" ago"), row.speed.removesuffix(" steps/s")
        cells = (row.steps, speed, beat, *(f"{size / 1e6:.1f}" for size in (one.sent, one.received)))
        word = Text(f"{row.mark} {row.word}", style=COLOURS[row.kind])
        made.add_row(row.site, word, row.work, *cells, str(row.done), str(row.lost))
        renew = f"{row.expiring}: its certificate, {row.certificate}" if row.expiring else ""
        why = "; ".join(part for part in (renew, row.reason, row.until) if part and part != DASH)
        if why:
            notes.append(Text.assemble((f"{row.site}: ", COLOURS["warn" if row.expiring else row.kind]), why))
    own = expiring(status.certificate_ends, status.written)
    if own:
        text = f"{own}: its certificate, {days_left(status.certificate_ends, status.written)}"
        notes.append(Text.assemble(("the server: ", COLOURS["warn"]), text))
    return Group(head, made, *notes, Text("sent, got: MB of weights, from the hospital and to it", style="dim"))


def render_live(job: str, flare: str, status: JobStatus | None, trouble: str = "") -> str:
    """The page of a job at this moment; it asks for itself again every other second.

    Args:
        job: its id.
        flare: FLARE's status of it.
        status: what is known; None while the job does not run.
        trouble: why there is no news, or empty.
    """
    rows = [] if status is None else [row_of(one, status.written) for one in status.hospitals]
    return (
        environment()
        .get_template("live.html")
        .render(
            job=job,
            told=told(flare, status),
            rows=rows,
            written="" if status is None else clock(status.written),
            began="" if status is None else clock(status.began),
            certificate="" if status is None else days_left(status.certificate_ends, status.written),
            expiring="" if status is None else expiring(status.certificate_ends, status.written),
            trouble=trouble,
            counts=_counts(rows),
            script=SCRIPT,
        )
    )


def script_hash() -> str:
    """The page's script as its Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()


def _counts(rows: list[Row]) -> str:
    """How many hospitals are how, the worst first."""
    order = [condition.value for condition in reversed(list(LOOKS))]
    words = [row.word for row in rows]
    return ", ".join(f"{words.count(word)} {word}" for word in order if word in words)
