"""What a run tells while it works; a listener prints it, a recorder keeps it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fedefm.errors import FedefmError, ProtocolError
from fedefm.exchange.bounds import is_count, plain_copy
from fedefm.exchange.messages import Lost, Stage, Task


@dataclass(frozen=True)
class StageStarted:
    """A stage begins with so many tasks."""

    round: int
    rounds: int
    stage: Stage
    tasks: int


@dataclass(frozen=True)
class TaskDone:
    """One task came back and was accepted."""

    task: Task
    report: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0


@dataclass(frozen=True)
class TaskLost:
    """One task did not come back, or its result was refused."""

    lost: Lost


@dataclass(frozen=True)
class StageEnded:
    """A stage is over: wall-clock seconds, bytes of weights sent and received by the server, and how many had to be."""

    round: int
    stage: Stage
    seconds: float
    bytes: int
    least: int = 0


@dataclass(frozen=True)
class SilosRated:
    """The round's reputation of every silo that was compared with others, in [0, 1]."""

    round: int
    reputation: Mapping[str, float]


@dataclass(frozen=True)
class CountsCapped:
    """Hospitals whose number of images counted less than they said, in the mean of a round."""

    round: int
    sites: tuple[str, ...]


@dataclass(frozen=True)
class RunResumed:
    """A run that was interrupted goes on.

    Attributes:
        round: the first one that is played now; all before it come from what was kept.
        note: what was lost of what was kept, in words; empty where nothing was.
    """

    round: int
    note: str = ""


def rated(event: SilosRated) -> str:
    """Every silo and its reputation, for a reader."""
    return ", ".join(f"{silo} {value:.2f}" for silo, value in sorted(event.reputation.items()))


class Standing(StrEnum):
    """What a hospital is to the job from now on."""

    AWAY = "away"
    BENCHED = "benched"
    BACK = "back"
    REMOVED = "removed"


@dataclass(frozen=True)
class StandingChanged:
    """A hospital gets no more work, no more visits, or both again.

    Attributes:
        round: when.
        site: who.
        standing: what it is from now on.
        reason: for a reader, in one line.
    """

    round: int
    site: str
    standing: Standing
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for the record."""
        return asdict(self) | {"standing": self.standing.value}


def resumed(event: RunResumed) -> str:
    """Where a run goes on, for a reader."""
    return f"goes on from round {event.round + 1}" + (f": {event.note}" if event.note else "")


Event = StageStarted | TaskDone | TaskLost | StageEnded | SilosRated | CountsCapped | StandingChanged | RunResumed
Listener = Callable[[Event], None]


def event_to_dict(event: Event) -> dict[str, Any]:
    """As JSON-able values, where its report is."""
    if isinstance(event, TaskDone):
        plain: dict[str, Any] = {"task": event.task.to_dict(), "report": dict(event.report), "images": event.images}
    elif isinstance(event, TaskLost):
        plain = {"lost": event.lost.to_dict()}
    elif isinstance(event, StandingChanged):
        plain = event.to_dict()
    elif isinstance(event, SilosRated | CountsCapped | RunResumed):
        plain = asdict(event)
    else:
        plain = asdict(event) | {"stage": event.stage.value}
    return {"event": type(event).__name__} | plain


def event_from_dict(plain: Mapping[str, Any]) -> Event:
    """Rebuild what `event_to_dict` gave; every value is hostile until read.

    Raises:
        ProtocolError: it is no such event.
    """
    try:
        return _EVENTS[plain["event"]](plain)
    except _UNREADABLE as error:
        raise ProtocolError(f"event: cannot be read ({type(error).__name__})") from error


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
    sizes = [_count(plain[name], 2**63) for name in ("bytes", "least")]
    return StageEnded(_count(plain["round"]), Stage(plain["stage"]), _number(plain["seconds"]), *sizes)


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


def _resumed(plain: Mapping[str, Any]) -> RunResumed:
    return RunResumed(_count(plain["round"]), _typed(plain["note"], str))


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "TaskDone": _done,
    "TaskLost": _lost,
    "StageStarted": _started,
    "StageEnded": _ended,
    "SilosRated": _rated,
    "CountsCapped": _capped,
    "StandingChanged": _standing,
    "RunResumed": _resumed,
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


_UNREADABLE = (FedefmError, TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)
