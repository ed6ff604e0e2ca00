"""Events of a run as log lines, so that whoever started the server's process can follow it.

A log holds texts of many, a hospital's among them. So a line tells something only where one of our marks is the first
word of a message of one of our controllers, in the format of `log_config.json`: a mark inside a text says nothing. And
what stands behind a mark is read as what comes from a peer is: whatever a line holds, the reader goes on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fedefm import errors
from fedefm.errors import FedefmError, visible
from fedefm.exchange.bounds import is_count, plain_copy
from fedefm.exchange.events import (
    CountsCapped,
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

PROGRESS = "fedefm-progress "
FAILED = "fedefm-failed "
FINISHED = "fedefm-finished "
_OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \w*Controller (?:INFO|ERROR) \[[^\]]*\] (fedefm-\w+ )")
_UNREADABLE = (FedefmError, TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)


def to_line(event: Event) -> str:
    """One message that `from_line` reads back from its line of the log."""
    if isinstance(event, TaskDone):
        plain: dict[str, Any] = {"task": event.task.to_dict(), "report": dict(event.report), "images": event.images}
    elif isinstance(event, TaskLost):
        plain = {"lost": event.lost.to_dict()}
    elif isinstance(event, StandingChanged):
        plain = event.to_dict()
    elif isinstance(event, (SilosRated, CountsCapped)):
        plain = asdict(event)
    else:
        plain = asdict(event) | {"stage": event.stage.value}
    return PROGRESS + json.dumps({"event": type(event).__name__} | plain)


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
        return None if plain is None else _EVENTS[plain["event"]](plain)
    except _UNREADABLE:
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


def _done(plain: Mapping[str, Any]) -> TaskDone:
    report = plain_copy(plain["report"])
    return TaskDone(Task.from_dict(plain["task"]), _typed(report, dict), _count(plain["images"]))


def _lost(plain: Mapping[str, Any]) -> TaskLost:
    lost = plain["lost"]
    visitor = None if lost["visitor"] is None else _typed(lost["visitor"], str)
    site, reason = _typed(lost["site"], str), _typed(lost["reason"], str)
    return TaskLost(Lost(site, _count(lost["round"]), Stage(lost["stage"]), reason, visitor))


def _started(plain: Mapping[str, Any]) -> StageStarted:
    numbers = [_count(plain[name]) for name in ("round", "rounds", "tasks")]
    return StageStarted(numbers[0], numbers[1], Stage(plain["stage"]), numbers[2])


def _ended(plain: Mapping[str, Any]) -> StageEnded:
    return StageEnded(
        _count(plain["round"]), Stage(plain["stage"]), _number(plain["seconds"]), _count(plain["bytes"], 2**63)
    )


def _rated(plain: Mapping[str, Any]) -> SilosRated:
    shares = {_typed(silo, str): _number(share) for silo, share in plain["reputation"].items()}
    if not shares:
        raise ValueError("nobody was rated")
    return SilosRated(_count(plain["round"]), shares)


def _capped(plain: Mapping[str, Any]) -> CountsCapped:
    return CountsCapped(_count(plain["round"]), tuple(_typed(site, str) for site in _typed(plain["sites"], list)))


def _standing(plain: Mapping[str, Any]) -> StandingChanged:
    site, reason = _typed(plain["site"], str), _typed(plain["reason"], str)
    return StandingChanged(_count(plain["round"]), site, Standing(plain["standing"]), reason)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "TaskDone": _done,
    "TaskLost": _lost,
    "StageStarted": _started,
    "StageEnded": _ended,
    "SilosRated": _rated,
    "CountsCapped": _capped,
    "StandingChanged": _standing,
}


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _count(value: Any, most: int = 10**9) -> int:
    if not is_count(value, most):
        raise ValueError("no count")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


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
    figures = {k: v for k, v in event.report.items() if k in ("loss", "val_dice") and isinstance(v, (int, float))}
    return f"{event.task.id}: " + (", ".join(f"{k} {v:.3f}" for k, v in figures.items()) or "done")
