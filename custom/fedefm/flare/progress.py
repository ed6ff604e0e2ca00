"""Events of a run as log lines, so that whoever started the server's process can follow it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fedefm.exchange.events import (
    Event,
    SilosRated,
    StageEnded,
    StageStarted,
    Standing,
    StandingChanged,
    TaskDone,
    TaskLost,
    rated,
)
from fedefm.exchange.messages import Lost, Stage, Task

MARK = "fedefm-progress "
FAILED = "fedefm-failed "
FINISHED = "fedefm-finished "


def to_line(event: Event) -> str:
    """One line that `from_line` reads back."""
    if isinstance(event, TaskDone):
        plain: dict[str, Any] = {"task": event.task.to_dict(), "report": dict(event.report), "images": event.images}
    elif isinstance(event, TaskLost):
        plain = {"lost": event.lost.to_dict()}
    elif isinstance(event, StandingChanged):
        plain = event.to_dict()
    elif isinstance(event, SilosRated):
        plain = asdict(event)
    else:
        plain = asdict(event) | {"stage": event.stage.value}
    return MARK + json.dumps({"event": type(event).__name__} | plain)


def from_line(line: str) -> Event | None:
    """The event that a log line holds; None for any other line."""
    plain = payload(line, MARK)
    if not isinstance(plain, dict):
        return None
    kind = plain.pop("event", None)
    if kind == "TaskDone":
        return TaskDone(Task.from_dict(plain["task"]), plain["report"], plain["images"])
    if kind == "TaskLost":
        return TaskLost(Lost(**(plain["lost"] | {"stage": Stage(plain["lost"]["stage"])})))
    if kind == "SilosRated":
        return SilosRated(**plain)
    if kind == "StandingChanged":
        return StandingChanged(**(plain | {"standing": Standing(plain["standing"])}))
    plain["stage"] = Stage(plain["stage"])
    return StageStarted(**plain) if kind == "StageStarted" else StageEnded(**plain)


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
    if isinstance(event, StandingChanged):
        return f"round {event.round + 1}: {event.site} is {event.standing}: {event.reason}"
    figures = {k: v for k, v in event.report.items() if k in ("loss", "val_dice") and v is not None}
    return f"{event.task.id}: " + (", ".join(f"{k} {v:.3f}" for k, v in figures.items()) or "done")
