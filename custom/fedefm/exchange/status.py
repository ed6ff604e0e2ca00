"""What a job's server hears of each hospital, as one small value that any member of the consortium may look at.

A `Board` is told the events of the job and the steps that hospitals report; `Board.status` joins that with what the
transport and FLARE's server know at this moment. Nothing here decides anything: a hospital that lies about its steps
changes what is shown of it and no more. Texts are bounded and visible, figures lie in their ranges, so that whoever
reads a `JobStatus`, from a file or from a server, validates it by the same schema.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median
from typing import Annotated

from pydantic import AfterValidator, Field

from fedefm.errors import visible
from fedefm.exchange.events import Event, RunResumed, StageStarted, Standing, StandingChanged, TaskDone, TaskLost
from fedefm.exchange.messages import Loss, Lost, Stage, Task
from fedefm.settings import JsonSettings, settings_class

STATUS_FILE = "status.json"
"""Where the server's process of a job writes its status, in the job's run folder."""

FINISHED, BROKEN_OFF = "finished", "broken off"
"""How a job ends that published its results, and one that was stopped before."""

SILENT_SECONDS = 60.0
"""Without a heartbeat for so long a hospital is called silent: FLARE's come every 10 s."""

SLOW_FACTOR, SLOW_SECONDS = 3.0, 5.0
"""Slow is who takes so many times what the same work takes the others, and at least so many seconds longer."""

MAX_SITES, MAX_BYTES, MAX_TEXT = 1000, 2**60, 400
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}$"


class Condition(StrEnum):
    """How a hospital is, in one word."""

    WORKING = "working"
    WAITING = "waiting"
    SLOW = "slow"
    SILENT = "silent"
    FAILED = "failed"
    AWAY = "away"
    DIED = "died"
    STOPPED = "stopped"
    REMOVED = "removed"


def _check_visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds what is no visible character")
    return text


Name = Annotated[str, Field(pattern=_NAME)]
Line = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_check_visible)]
Time = Annotated[float, Field(ge=0, le=1e11)]
"""Seconds since 1970, by the server's clock."""

Count = Annotated[int, Field(ge=0, le=MAX_BYTES)]
Rate = Annotated[float, Field(ge=0, le=1e9)]


@settings_class
class HospitalStatus:
    """One hospital at this moment.

    Attributes:
        site: its name.
        condition: how it is.
        reason: why, in one line; empty where the condition says it all.
        stage: of the work that it is at; None where it has none.
        visitor: the silo that it hosts there; None where it works on its own.
        step: gradient steps of this work that it has reported.
        steps: gradient steps of this work.
        queue: pieces of work that it has to do after this one, in this stage.
        steps_per_second: its speed, by its reports or by its last work; None while nothing is known.
        ends: when this work will be done, at this speed.
        given_up: when this work is given up if nothing comes.
        heartbeat: when its last heartbeat came; None where none comes, as in the simulator.
        sent: bytes of weights that it sent.
        received: bytes of weights that it was sent.
        done: pieces of work that it has done.
        lost: pieces of work that were lost there.
        certificate_ends: when the certificate ends that it registered with; None where none is known.
    """

    site: Name
    condition: Condition
    reason: Line = ""
    stage: Stage | None = None
    visitor: Name | None = None
    step: Count = 0
    steps: Count = 0
    queue: Count = 0
    steps_per_second: Rate | None = None
    ends: Time | None = None
    given_up: Time | None = None
    heartbeat: Time | None = None
    sent: Count = 0
    received: Count = 0
    done: Count = 0
    lost: Count = 0
    certificate_ends: Time | None = None


@settings_class
class JobStatus(JsonSettings):
    """A job at one moment.

    Attributes:
        job: its id.
        written: when this was true.
        began: when the job began.
        round: the round that is played, from 0; `rounds` when all have been.
        rounds: of the job; 0 before the first stage.
        stage: that is played; None before the first.
        ends: when the rounds will be over, at the speed of those so far; None before one is over.
        end: how the job ended, in one line; empty while it runs.
        note: what else is worth knowing, such as that it was resumed.
        hospitals: sorted by name.
        certificate_ends: when the server's own certificate ends; None where none is known.
    """

    job: Line
    written: Time
    began: Time
    round: Count
    rounds: Count
    stage: Stage | None
    ends: Time | None
    end: Line
    note: Line
    hospitals: Annotated[tuple[HospitalStatus, ...], Field(max_length=MAX_SITES)]
    certificate_ends: Time | None = None


@dataclass(frozen=True)
class AtWork:
    """What a hospital has been given and has not answered.

    Attributes:
        tasks: in the order in which it does them; the first is the one that it is at.
        silent: seconds since it could begin with the first.
        patience: seconds of silence after which it is given up.
    """

    tasks: tuple[Task, ...]
    silent: float
    patience: float


@dataclass(frozen=True)
class Heard:
    """What is known of a hospital beside the events.

    Attributes:
        at_work: its open tasks; None where it has none.
        heartbeat: when its last one came, in seconds since 1970.
        left: why it has left the job, in words; empty while it has not.
        stopped: it left because its own people stopped it.
        sent: bytes of weights from it.
        received: bytes of weights to it.
        certificate_ends: when the certificate ends that it registered with, in seconds since 1970.
    """

    at_work: AtWork | None = None
    heartbeat: float | None = None
    left: str = ""
    stopped: bool = False
    sent: int = 0
    received: int = 0
    certificate_ends: float | None = None


@dataclass
class _Site:
    """What the events said of one hospital."""

    begun: float = 0.0
    done: int = 0
    lost: int = 0
    loss: Lost | None = None
    standing: StandingChanged | None = None
    task: str = ""
    step: int = 0
    step_times: list[tuple[float, int]] = field(default_factory=list)
    rate: float | None = None
    behind: float = 0.0
    """Times what its last work takes the others, where that was much; else 0."""


class Board:
    """A listener that keeps what the live page shows.

    Args:
        job: its id.
        sites: its hospitals.
        clock: seconds since 1970.
    """

    def __init__(self, job: str, sites: Iterable[str], clock: Callable[[], float]):
        self._clock, self._began = clock, clock()
        self._job = visible(job)[:MAX_TEXT]
        self._sites: dict[str, _Site] = {site: _Site() for site in sites}
        self._round = self._rounds = 0
        self._stage: Stage | None = None
        self._rounds_begun: dict[int, float] = {}
        self._paces: dict[Stage, dict[str, float]] = defaultdict(dict)
        self._note = ""
        self.end = ""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, StageStarted):
            self._start(event)
        elif isinstance(event, TaskDone):
            self._done(event.task)
        elif isinstance(event, TaskLost):
            site = self._of(event.lost.site)
            site.lost, site.loss, site.begun = site.lost + 1, event.lost, self._clock()
        elif isinstance(event, StandingChanged):
            self._of(event.site).standing = event
        elif isinstance(event, RunResumed):
            self._note = f"goes on from round {event.round + 1}"

    def steps(self, site: str, task: str, step: int, steps: int) -> None:
        """A hospital says how many of the steps of a task it has done; what cannot be is left out.

        Args:
            site: the hospital.
            task: id of the work.
            step: steps done.
            steps: of the work.
        """
        known = self._sites.get(site)
        if known is None or not 0 < step <= steps:
            return
        if known.task != task:
            known.task, known.step_times = task, []
        known.step = step
        known.step_times = [*known.step_times[-15:], (self._clock(), step)]

    def status(self, heard: Mapping[str, Heard]) -> JobStatus:
        """The job now.

        Args:
            heard: by hospital, what its transport and its server know at this moment.
        """
        now = self._clock()
        busy = sorted(site for site, one in heard.items() if one.at_work)
        return JobStatus(
            job=self._job,
            written=now,
            began=self._began,
            round=min(self._round, self._rounds),
            rounds=self._rounds,
            stage=self._stage,
            ends=None if self.end else self._ends(now),
            end=visible(self.end)[:MAX_TEXT],
            note=self._note,
            hospitals=tuple(
                self._hospital(name, heard.get(name, Heard()), busy, now) for name in sorted(self._sites)[:MAX_SITES]
            ),
        )

    def _start(self, event: StageStarted) -> None:
        now = self._clock()
        self._round, self._rounds, self._stage = event.round, event.rounds, event.stage
        if event.stage is not Stage.PREPARE:
            self._rounds_begun.setdefault(event.round, now)
        for site in self._sites.values():
            site.begun = now

    def _done(self, task: Task) -> None:
        now, site = self._clock(), self._of(task.site)
        seconds, amount = now - site.begun, float(task.steps) or 1.0
        usual = self._usual(task)
        site.behind = seconds / usual if usual and _is_slow(seconds, usual) else 0.0
        if task.steps:
            site.rate = task.steps / seconds if seconds > 0 else None
        self._paces[task.stage][task.site] = seconds / amount
        site.done, site.begun, site.loss = site.done + 1, now, None
        if site.standing is not None and site.standing.standing is Standing.AWAY:
            site.standing = None

    def _usual(self, task: Task) -> float | None:
        """Seconds that this work takes the others; None while nobody else has done any."""
        paces = [pace for site, pace in self._paces[task.stage].items() if site != task.site]
        return median(paces) * (float(task.steps) or 1.0) if paces else None

    def _ends(self, now: float) -> float | None:
        """When the rounds will be over: each one left takes what the others took."""
        begun = self._rounds_begun
        lengths = [begun[k + 1] - begun[k] for k in sorted(begun) if k + 1 in begun]
        if not lengths or not self._round < self._rounds:
            return None
        usual = median(lengths)
        whole = usual * (self._rounds - self._round - 1)
        return now + whole + max(0.0, usual - (now - begun.get(self._round, now)))

    def _hospital(self, name: str, heard: Heard, busy: list[str], now: float) -> HospitalStatus:
        site, work = self._sites[name], heard.at_work
        condition, reason = self._condition(name, heard, busy, now)
        status = HospitalStatus(
            site=name,
            condition=condition,
            reason=visible(reason)[:MAX_TEXT],
            steps_per_second=site.rate,
            heartbeat=heard.heartbeat,
            sent=heard.sent,
            received=heard.received,
            done=site.done,
            lost=site.lost,
            certificate_ends=heard.certificate_ends,
        )
        if work is None or condition in (Condition.DIED, Condition.STOPPED, Condition.REMOVED):
            return status
        task = work.tasks[0]
        step = min(site.step, task.steps) if site.task == task.id else 0
        rate = _rate(site.step_times) if site.task == task.id else None
        rate = rate if rate is not None else site.rate
        left = max(0, task.steps - step)
        begun = now - work.silent
        ends = None if not rate or not task.steps else (now + left / rate if step else begun + task.steps / rate)
        return replace(
            status,
            stage=task.stage,
            visitor=task.visitor if task.visitor != task.site else None,
            step=step,
            steps=task.steps,
            queue=len(work.tasks) - 1,
            steps_per_second=rate,
            ends=None if ends is None or ends < now or condition is Condition.SILENT else ends,
            given_up=now + max(0.0, work.patience - work.silent),
        )

    def _condition(self, name: str, heard: Heard, busy: list[str], now: float) -> tuple[Condition, str]:
        site, standing = self._sites[name], self._sites[name].standing
        if standing is not None and standing.standing is Standing.REMOVED:
            return Condition.REMOVED, standing.reason
        if heard.left:
            return (Condition.STOPPED if heard.stopped else Condition.DIED), heard.left
        if site.loss is not None and site.loss.kind in (Loss.DIED, Loss.STOPPED):
            kind = Condition.DIED if site.loss.kind is Loss.DIED else Condition.STOPPED
            return kind, site.loss.reason
        quiet = 0.0 if heard.heartbeat is None else now - heard.heartbeat
        if quiet > SILENT_SECONDS:
            return Condition.SILENT, f"no heartbeat for {quiet:.0f} s"
        if heard.at_work is not None:
            return self._working(site, heard.at_work)
        if standing is not None and standing.standing is Standing.AWAY:
            return Condition.AWAY, standing.reason + _because(site.loss)
        if site.loss is not None:
            return Condition.FAILED, site.loss.reason
        if site.behind:
            return Condition.SLOW, _behind(site.behind)
        if standing is not None and standing.standing is Standing.BENCHED:
            return Condition.WAITING, standing.reason
        return Condition.WAITING, f"for {', '.join(busy)}" if busy else ""

    def _working(self, site: _Site, work: AtWork) -> tuple[Condition, str]:
        usual = self._usual(work.tasks[0])
        if usual is not None and _is_slow(work.silent, usual):
            return Condition.SLOW, f"at this for {work.silent:.0f} s, which takes the others {usual:.1f} s"
        if site.behind:
            return Condition.SLOW, _behind(site.behind)
        return Condition.WORKING, ""

    def _of(self, site: str) -> _Site:
        return self._sites.setdefault(site, _Site()) if len(self._sites) < MAX_SITES else self._sites.get(site, _Site())


def _is_slow(seconds: float, usual: float) -> bool:
    """Whether work that takes the others `usual` seconds takes too long."""
    return seconds > SLOW_FACTOR * usual and seconds - usual > SLOW_SECONDS


def _rate(times: list[tuple[float, int]]) -> float | None:
    """Steps a second between the first and the last report that are kept."""
    if len(times) < 2 or times[-1][0] <= times[0][0] or times[-1][1] <= times[0][1]:
        return None
    return (times[-1][1] - times[0][1]) / (times[-1][0] - times[0][0])


def _behind(times: float) -> str:
    return f"its last work took {times:.1f} times what it takes the others"


def _because(loss: Lost | None) -> str:
    return f" (last: {loss.reason})" if loss is not None else ""
