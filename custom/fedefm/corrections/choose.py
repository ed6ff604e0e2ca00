"""Which frames of which run a person means: `3,17`, `3-9`, `worst:5`, `all`, with `RUN:` before it where needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedefm.errors import ConfigError

_LIST = r"all|worst:[0-9]{1,6}|[0-9]{1,6}(?:-[0-9]{1,6})?(?:,[0-9]{1,6}(?:-[0-9]{1,6})?)*"
_ALONE, _OF_RUN = re.compile(_LIST), re.compile(rf"(?P<run>.+?):(?P<list>{_LIST})")
MOST = 32767
"""The last frame of the longest run."""


@dataclass(frozen=True)
class Frames:
    """Frames that a person named.

    Attributes:
        run: of which run; None for each.
        numbers: from 1 on, in order; empty for all, or for the worst.
        worst: how many of those in which the network was least sure; 0 where the frames are named.
    """

    run: str | None
    numbers: tuple[int, ...] = ()
    worst: int = 0


def parse_frames(text: str, option: str) -> Frames:
    """Read what stands behind an option.

    Raises:
        ConfigError: it is no list of frames.
    """
    run, listed = None, text.replace(" ", "")
    if not _ALONE.fullmatch(listed):
        found = _OF_RUN.fullmatch(text)
        if found is None:
            raise ConfigError(f"{option} {text}: write frames such as 3,17 or 3-9, all, or RUN:3,17 for one of several")
        run, listed = found["run"], found["list"]
    if listed == "all":
        return Frames(run)
    if listed.startswith("worst:"):
        count = int(listed.removeprefix("worst:"))
        if not count:
            raise ConfigError(f"{option} {text}: give 1 or more")
        return Frames(run, worst=count)
    return Frames(run, _numbers(listed, option))


def _numbers(listed: str, option: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in listed.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= MOST:
            raise ConfigError(f"{option} {part}: frames are counted from 1 to {MOST}, the first before the last")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def frames_for(run: str, said: Sequence[Frames]) -> list[Frames]:
    """What was said of a run."""
    return [one for one in said if one.run in (None, run)]


def check_runs(said: Sequence[Frames], runs: Sequence[str], option: str) -> None:
    """Refuse a run that is not there.

    Raises:
        ConfigError: so it is.
    """
    for one in said:
        if one.run is not None and one.run not in runs:
            raise ConfigError(f"{option} {one.run}: no such run; there are {', '.join(runs)}")
