"""What the record of a job tells, kept event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fedefm.exchange.events import Event, Listener, RunResumed, StageEnded, StandingChanged, TaskDone, TaskLost
from fedefm.exchange.messages import Stage


@dataclass
class Ledger:
    """A listener that keeps what the record of a job tells.

    Attributes:
        listen: is told every event too.
        seconds: by stage.
        bytes: by stage.
        least: of these bytes, by stage, how many had to be moved.
        lost: work that did not come back.
        standings: who got no more work, or work again.
        resumed: where the job went on after an interruption.
        reports: of a stage, by site.
    """

    listen: Listener
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    lost: list[dict[str, Any]] = field(default_factory=list)
    standings: list[dict[str, Any]] = field(default_factory=list)
    resumed: list[dict[str, Any]] = field(default_factory=list)
    reports: dict[Stage, dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Keep one event."""
        if isinstance(event, TaskDone):
            self.reports.setdefault(event.task.stage, {})[event.task.site] = event.report
        elif isinstance(event, TaskLost):
            self.lost.append(event.lost.to_dict())
        elif isinstance(event, StandingChanged):
            self.standings.append(event.to_dict())
        elif isinstance(event, RunResumed):
            self.resumed.append(asdict(event))
        elif isinstance(event, StageEnded):
            name = event.stage.value
            self.seconds[name] = self.seconds.get(name, 0.0) + event.seconds
            self.bytes[name] = self.bytes.get(name, 0) + event.bytes
            self.least[name] = self.least.get(name, 0) + event.least
        self.listen(event)
