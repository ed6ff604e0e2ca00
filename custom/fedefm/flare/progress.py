"""Events of a run as log lines, so that whoever started the server's process can follow it."""

from __future__ import annotations

import json
from typing import Any

from fedefm.exchange.events import (
    Event,
    RunResumed,
    SilosRated,
    StageEnded,
    StageStarted,
    TaskLost,
    event_from_dict,
    event_to_dict,
    rated,
    resumed,
)

MARK = "fedefm-progress "
FAILED = "fedefm-failed "
FINISHED = "fedefm-finished "


def to_line(event: Event) -> str:
    """One line that `from_line` reads back."""
    return MARK + json.dumps(event_to_dict(event))


def from_line(line: str) -> Event | None:
    """The event that a log line holds; None for any other line."""
    plain = payload(line, MARK)
    return event_from_dict(plain) if isinstance(plain, dict) else None


def payload(line: str, mark: str) -> Any:
    """The JSON value behind `mark` in a line, whatever a log's format puts around it; None without one."""
    begin = line.find(mark)
    if begin < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(line, begin + len(mark))[0]
    except ValueError:
        return None


def to_text(event: Event) -> str:
    """The same event for a reader."""
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
    if isinstance(event, RunResumed):
        return resumed(event)
    figures = {k: v for k, v in event.report.items() if k in ("loss", "val_dice") and v is not None}
    return f"{event.task.id}: " + (", ".join(f"{k} {v:.3f}" for k, v in figures.items()) or "done")
