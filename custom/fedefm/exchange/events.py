"""What a run tells while it works; a listener prints it, a recorder keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
    """A stage is over: wall-clock seconds, and bytes of weights sent and received by the server."""

    round: int
    stage: Stage
    seconds: float
    bytes: int


@dataclass(frozen=True)
class SilosRated:
    """The round's reputation of every silo that was compared with others, in [0, 1]."""

    round: int
    reputation: Mapping[str, float]


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


def resumed(event: RunResumed) -> str:
    """Where a run goes on, for a reader."""
    return f"goes on from round {event.round + 1}" + (f": {event.note}" if event.note else "")


Event = StageStarted | TaskDone | TaskLost | StageEnded | SilosRated | RunResumed
Listener = Callable[[Event], None]


def event_to_dict(event: Event) -> dict[str, Any]:
    """As JSON-able values, where its report is."""
    if isinstance(event, TaskDone):
        plain: dict[str, Any] = {"task": event.task.to_dict(), "report": dict(event.report), "images": event.images}
    elif isinstance(event, TaskLost):
        plain = {"lost": event.lost.to_dict()}
    elif isinstance(event, SilosRated | RunResumed):
        plain = asdict(event)
    else:
        plain = asdict(event) | {"stage": event.stage.value}
    return {"event": type(event).__name__} | plain


def event_from_dict(plain: Mapping[str, Any]) -> Event:
    """Rebuild what `event_to_dict` gave."""
    kind, values = plain.get("event"), {key: value for key, value in plain.items() if key != "event"}
    if kind == "TaskDone":
        return TaskDone(Task.from_dict(values["task"]), values["report"], values["images"])
    if kind == "TaskLost":
        return TaskLost(Lost(**(values["lost"] | {"stage": Stage(values["lost"]["stage"])})))
    if kind == "SilosRated":
        return SilosRated(**values)
    if kind == "RunResumed":
        return RunResumed(**values)
    values["stage"] = Stage(values["stage"])
    return StageStarted(**values) if kind == "StageStarted" else StageEnded(**values)
