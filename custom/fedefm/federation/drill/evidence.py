"""What a drill saw: from the events, the record, the status of each job and the hashes of Theta; nothing is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedefm.exchange.events import Event, StageStarted, StandingChanged, TaskDone, TaskLost
from fedefm.exchange.messages import Stage
from fedefm.federation.drill.faults import Fault


@dataclass(frozen=True)
class Told:
    """One event, and when it was read, in seconds from the first job's submission."""

    seconds: float
    event: Event


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        hospitals: those that it began with.
        status: FLARE's.
        record: of the job; empty where there is none.
        theta: hash of the Theta that was downloaded; empty where there is none.
        expected: hash of the Theta of one process with all these hospitals.
    """

    hospitals: tuple[str, ...]
    status: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    theta: str = ""
    expected: str = ""

    @property
    def lost(self) -> set[str]:
        """Hospitals that the record names as lost, or gave another standing."""
        told = [*self.record.get("lost", ()), *self.record.get("standings", ())]
        return {str(one["site"]) for one in told}

    def took_part(self, round_: int) -> set[str]:
        """Hospitals that were taught in a round, from 0."""
        entries = [entry for entry in self.record.get("history", ()) if entry["round"] == round_]
        return {site for entry in entries for site in entry["loss"].get("distil", {})}


@dataclass(frozen=True)
class Evidence:
    """All that the promises are held against.

    Attributes:
        faults: what was asked for.
        rounds: of the job.
        patience: seconds after which silent work is given up, `stage_timeout` of the job.
        deadline: seconds within which the job had to end, its second submission included.
        seconds: that it took.
        job: how it ended.
        struck: when each fault was done, in seconds as `Told`; one that is not there never was.
        told: events of the job, of both submissions, in their order.
        abandoned: FLARE's status of the job that ran when the server was killed, after its start.
        after: the next job; None where no promise speaks of it.
        carried: bytes that went through each line.
        broken: connections that each line broke, or refused, because it was cut.
        trouble: what kept the drill from going on, in one line; empty where nothing did.
    """

    faults: Sequence[Fault]
    rounds: int
    patience: float
    deadline: float
    seconds: float
    job: Outcome
    struck: Mapping[Fault, float]
    told: Sequence[Told] = ()
    abandoned: str = ""
    after: Outcome | None = None
    carried: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""

    @property
    def may_be_lost(self) -> set[str]:
        """Hospitals of which some fault says that the job may lose them."""
        return {fault.site for fault in self.faults if fault.may_lose}

    def loss_of(self, fault: Fault) -> tuple[float, str] | None:
        """Seconds from the beginning of the stage, or the fault, to the first loss of that hospital in that round.

        And its reason. A loss in a later round is none that was named in time.
        """
        begun = self.struck.get(fault)
        if begun is None:
            return None
        since = begun
        for one in self.told:
            event = one.event
            if isinstance(event, StageStarted):
                since = max(begun, one.seconds)
            if isinstance(event, TaskLost) and event.lost.site == fault.site and event.lost.round == fault.round - 1:
                return max(0.0, one.seconds - since), event.lost.reason
        return None

    def taken_after_removal(self, site: str) -> int | None:
        """Results that were taken from a hospital after the job knew that it was removed; None where it never knew."""
        for index, one in enumerate(self.told):
            event = one.event
            if isinstance(event, StandingChanged) and event.site == site and event.standing.value == "removed":
                later = [after.event for after in self.told[index:]]
                return sum(isinstance(event, TaskDone) and event.task.site == site for event in later)
        return None


def begins(event: Event, round_: int) -> bool:
    """Whether an event is the first piece of work of a round, from 1, or of a later one."""
    return isinstance(event, StageStarted) and event.stage is not Stage.PREPARE and event.round >= round_ - 1
