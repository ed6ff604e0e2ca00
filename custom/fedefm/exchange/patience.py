"""How long a hospital is waited for: as long as the work may take by what was measured, not a constant.

A constant is wrong twice: what is long enough for one lone model is far too long for one visit, and each dead hospital
costs all of it. So every answer is a measurement, and a hospital is given `FACTOR` times what such work usually takes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from fedefm.exchange.messages import Stage, Task

FACTOR = 10.0
"""A machine that others use too works at a half or a fifth of its speed; one that is 20 times slower is stuck."""

FLOOR_SECONDS = 120.0
"""Whatever was measured: swapping, a backup or a lost connection that FLARE mends take this long on a sound machine."""

PROBE_SECONDS = 30.0
"""In place of the floor for a hospital that is away: it has only to say that it is back, and is asked again later."""


RECENT = 8
"""Answers of a hospital in a stage that count: the last ones, as a machine may become slower for good."""


@dataclass(frozen=True)
class Load:
    """One piece of work, as far as its time depends on it.

    Attributes:
        site: who does it.
        stage: what is done; speeds of two stages are not compared.
        steps: gradient steps.
        megabytes: weights that it needs, in 10^6 bytes.
        probe: the hospital is away and is asked whether it is back.
    """

    site: str
    stage: Stage
    steps: int = 0
    megabytes: float = 0.0
    probe: bool = False

    @classmethod
    def of(cls, task: Task, nbytes: int) -> Load:
        """The load of a task that needs so many bytes of weights."""
        probe = task.stage is Stage.PREPARE and task.round > 0
        return cls(task.site, task.stage, task.steps, nbytes / 1e6, probe)

    @property
    def amount(self) -> float:
        """What its time is proportional to: steps, in a stage without any megabytes, and 1 where there are neither."""
        return float(self.steps) or self.megabytes or 1.0


@dataclass(frozen=True)
class Measured:
    """A load, and the seconds from when the hospital could begin with it until its answer."""

    load: Load
    seconds: float


def patience(
    load: Load,
    measured: Sequence[Measured],
    ceiling: float,
    *,
    factor: float = FACTOR,
    floor: float = FLOOR_SECONDS,
) -> float:
    """Seconds without an answer after which this work is given up.

    A hospital is measured by itself first: one that is always slow is waited for by its own speed, up to the ceiling.
    It is given as much time as the others need where that is more. Until it has answered once in this stage nothing is
    known of it, and the ceiling holds. A probe needs no such knowledge: the hospital prepared before or never.

    Args:
        load: the work.
        measured: every answer so far, of all hospitals.
        ceiling: the job's `stage_timeout`; never exceeded.
        factor: how many times the usual seconds.
        floor: never less than this, but for the ceiling.

    Returns:
        `min(ceiling, max(floor, factor x amount x seconds a unit))`, where the seconds a unit of work are the larger
        one of the hospital's own median and of the median of the others' medians.
    """
    paces = _paces(load.stage, measured)
    others = [pace for site, pace in paces.items() if site != load.site]
    if load.site not in paces and not load.probe:
        return ceiling
    pace = max([paces.get(load.site, 0.0), *([median(others)] if others else [])])
    least = min(floor, PROBE_SECONDS) if load.probe else floor
    return min(ceiling, max(least, factor * pace * load.amount))


def _paces(stage: Stage, measured: Iterable[Measured]) -> dict[str, float]:
    """Median seconds a unit of work of every hospital that has answered in this stage."""
    seen: dict[str, list[float]] = defaultdict(list)
    for one in measured:
        if one.load.stage is stage:
            seen[one.load.site].append(one.seconds / one.load.amount)
    return {site: median(paces) for site, paces in seen.items()}


class Speeds:
    """The answers of a run so far, the last `RECENT` of each hospital in each stage."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Stage], deque[Measured]] = {}

    def note(self, load: Load, seconds: float) -> None:
        """Keep one answer."""
        self._kept.setdefault((load.site, load.stage), deque(maxlen=RECENT)).append(Measured(load, seconds))

    def forget(self, site: str) -> None:
        """Drop a hospital that was waited for in vain: its machine is another than the one that was measured."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != site}

    def patience(self, load: Load, ceiling: float, *, factor: float = FACTOR, floor: float = FLOOR_SECONDS) -> float:
        """`patience` by what was kept."""
        known = [one for (_, stage), kept in self._kept.items() if stage is load.stage for one in kept]
        return patience(load, known, ceiling, factor=factor, floor=floor)
