"""Events of a run as log lines, so that whoever started the server's process can follow it.

A log holds texts of many, a hospital's among them. So a line tells something only where one of our marks is the first
word of a message of one of our controllers, in the format of `log_config.json`: a mark inside a text says nothing. And
what stands behind a mark is read as what comes from a peer is: whatever a line holds, the reader goes on.
"""

from __future__ import annotations

import json
import re
from typing import Any

from fedefm import errors
from fedefm.errors import FedefmError, ProtocolError, visible
from fedefm.exchange.events import (
    CountsCapped,
    Event,
    RunResumed,
    SilosRated,
    StageEnded,
    StageStarted,
    StandingChanged,
    TaskLost,
    event_from_dict,
    event_to_dict,
    rated,
    resumed,
)

PROGRESS = "fedefm-progress "
FAILED = "fedefm-failed "
FINISHED = "fedefm-finished "
_OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \w*Controller (?:INFO|ERROR) \[[^\]]*\] (fedefm-\w+ )")


def to_line(event: Event) -> str:
    """One message that `from_line` reads back from its line of the log."""
    return PROGRESS + json.dumps(event_to_dict(event))


def failed_line(kind: str, message: str) -> str:
    """The message that a job has failed."""
    return FAILED + json.dumps({"kind": kind, "message": message})


def finished_line(folder: str) -> str:
    """The message that a job is over, and where its results lie."""
    return FINISHED + json.dumps({"folder": folder})


def from_line(line: str) -> Event | None:
    """The event that a line of the log holds; None for any other line."""
    plain = _payload(line, PROGRESS)
    try:
        return None if plain is None else event_from_dict(plain)
    except ProtocolError:
        return None


def failure_in(line: str) -> FedefmError | None:
    """The error that ended the job, where a line tells of one; of its own kind."""
    plain = _payload(line, FAILED)
    if plain is None or not isinstance(plain.get("kind"), str) or not isinstance(plain.get("message"), str):
        return None
    kind: Any = getattr(errors, plain["kind"], None)
    if not (isinstance(kind, type) and issubclass(kind, FedefmError)):
        kind = FedefmError
    return kind(visible(plain["message"]))


def is_finished(line: str) -> bool:
    """Whether a line says that the job is over."""
    return _payload(line, FINISHED) is not None


def to_text(event: Event) -> str:
    """The same event for a reader; control characters are escaped."""
    return visible(_text(event))


def _payload(line: str, mark: str) -> dict[str, Any] | None:
    """The object behind a mark; None where there is none."""
    found = _OURS.match(line)
    if found is None or found.group(1) != mark:
        return None
    try:
        plain, _ = json.JSONDecoder().raw_decode(line, found.end())
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _text(event: Event) -> str:
    if isinstance(event, StageStarted):
        return f"round {event.round + 1}/{event.rounds}, {event.stage}: {event.tasks} task(s)"
    if isinstance(event, StageEnded):
        return f"round {event.round + 1}, {event.stage}: done in {event.seconds:.1f} s, {event.bytes / 1e6:.1f} MB"
    if isinstance(event, TaskLost):
        lost = event.lost
        visitor = f" (visitor {lost.visitor})" if lost.visitor else ""
        return f"round {lost.round + 1}, {lost.stage}: LOST {lost.site}{visitor}: {lost.reason}"
    if isinstance(event, SilosRated):
        return f"round {event.round + 1}, reputation: {rated(event)}"
    if isinstance(event, CountsCapped):
        return f"round {event.round + 1}, images counted at most twice the median: {', '.join(event.sites)}"
    if isinstance(event, StandingChanged):
        return f"round {event.round + 1}: {event.site} is {event.standing}: {event.reason}"
    if isinstance(event, RunResumed):
        return resumed(event)
    figures = {k: v for k, v in event.report.items() if k in ("loss", "val_dice") and isinstance(v, (int, float))}
    return f"{event.task.id}: " + (", ".join(f"{k} {v:.3f}" for k, v in figures.items()) or "done")
