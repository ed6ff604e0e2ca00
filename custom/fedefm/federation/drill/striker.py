"""When each fault falls: a listener of the job's events that lets the hands do it, each fault once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fedefm.exchange.events import Event, Listener, TaskLost
from fedefm.federation.drill.evidence import Told, begins
from fedefm.federation.drill.faults import Fault, Kind
from fedefm.federation.drill.hands import Hands


class ServerKilled(Exception):  # noqa: N818 (no error: the drill did it)
    """The fault of the server has fallen; nobody need wait for this job any more."""


@dataclass
class Striker:
    """Hears the job, keeps what it hears, and strikes.

    Attributes:
        faults: what is to be done.
        hands: who does it.
        on_event: told every event too.
        begun: when the first job was submitted, by `time.monotonic()`.
        told: every event so far.
        struck: when each fault fell, in seconds from `begun`.
    """

    faults: tuple[Fault, ...]
    hands: Hands
    on_event: Listener
    begun: float = field(default_factory=time.monotonic)
    told: list[Told] = field(default_factory=list)
    struck: dict[Fault, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.struck |= {fault: 0.0 for fault in self.faults if fault.kind is Kind.SLOW}

    @property
    def seconds(self) -> float:
        """Since the first job was submitted."""
        return time.monotonic() - self.begun

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        self.told.append(Told(self.seconds, event))
        self.on_event(event)
        for fault in self.faults:
            if fault not in self.struck and begins(event, fault.round):
                self.struck[fault] = self.seconds
                self._strike(fault)
        if isinstance(event, TaskLost) and event.lost.site in self.hands.until_lost:
            self.hands.thaw(event.lost.site)

    def check_server(self) -> None:
        """Say so where the server is dead.

        Raises:
            ServerKilled: it is.
        """
        if self.hands.place.server in self.hands.dead:
            raise ServerKilled

    def _strike(self, fault: Fault) -> None:
        if fault.kind is Kind.KILL:
            self.hands.kill(fault.site)
        elif fault.kind is Kind.RESTART:
            self.hands.kill(self.hands.place.server)
        elif fault.kind is Kind.FREEZE:
            self.hands.freeze(fault.site, fault.seconds)
        elif fault.kind is Kind.CUT:
            self.hands.cut(fault.site, fault.seconds or 0.0)
        elif fault.kind is Kind.DISABLE:
            self.hands.suspend(fault.site)
