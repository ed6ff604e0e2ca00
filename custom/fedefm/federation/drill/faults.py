"""The faults of a drill: what a person types, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fedefm.errors import ConfigError, visible

SERVER = "server"
MOST_ROUNDS, MOST_SECONDS = 20, 300
LEAST_RATE, MOST_RATE = 64e3 / 8, 10e9 / 8
UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


class Kind(StrEnum):
    """What is done."""

    SLOW = "slow"
    CUT = "cut"
    FREEZE = "freeze"
    KILL = "kill"
    RESTART = "restart"
    DISABLE = "disable"


FORMS: Mapping[Kind, str] = {
    Kind.SLOW: "HOSPITAL=RATE",
    Kind.CUT: "HOSPITAL@ROUND:SECONDS",
    Kind.FREEZE: "HOSPITAL@ROUND[:SECONDS]",
    Kind.KILL: "HOSPITAL@ROUND",
    Kind.RESTART: "server@ROUND",
    Kind.DISABLE: "HOSPITAL@ROUND",
}
"""How each is written."""

EXAMPLES: Mapping[Kind, str] = {
    Kind.SLOW: "a=4mbit",
    Kind.CUT: "c@2:60",
    Kind.FREEZE: "b@2:30",
    Kind.KILL: "b@3",
    Kind.RESTART: "server@2",
    Kind.DISABLE: "c@3",
}

_AT = re.compile(r"(?P<who>[A-Za-z0-9][A-Za-z0-9._-]*)@(?P<round>[0-9]{1,6})(?::(?P<seconds>[0-9]{1,6}))?")
_RATE = re.compile(r"(?P<who>[A-Za-z0-9][A-Za-z0-9._-]*)=(?P<amount>[0-9]{1,6}(?:\.[0-9]{1,3})?)(?P<unit>[a-z]+)")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: what is done.
        site: to whom; the server for `RESTART`.
        round: when, from 1 as people count; 0 for what holds from beginning to end.
        seconds: for how long; None where it is done once, or until the hospital is given up.
        rate: bytes a second of a thin line; None for all others.
        typed: the words of a person, such as `kill b@3`.
    """

    kind: Kind
    site: str
    round: int = 0
    seconds: float | None = None
    rate: float | None = None
    typed: str = ""

    @property
    def words(self) -> str:
        """What is done, for a reader."""
        lasts = "" if self.seconds is None else f" for {self.seconds:g} s"
        return {
            Kind.SLOW: f"{self.site} behind a line of {(self.rate or 0) * 8 / 1e6:g} Mbit/s",
            Kind.CUT: f"line of {self.site} cut in round {self.round}{lasts}",
            Kind.FREEZE: f"{self.site} frozen in round {self.round}{lasts or ' until it was given up'}",
            Kind.KILL: f"{self.site} killed in round {self.round}",
            Kind.RESTART: f"server killed in round {self.round} and started again",
            Kind.DISABLE: f"{self.site} suspended in round {self.round}",
        }[self.kind]

    @property
    def may_lose(self) -> bool:
        """Whether the job may go on without this hospital, for a while at least."""
        return self.kind not in (Kind.SLOW, Kind.RESTART)

    @property
    def ends_it(self) -> bool:
        """Whether the hospital is out of the job from then on."""
        return self.kind in (Kind.KILL, Kind.DISABLE)


def read_fault(kind: Kind, text: str, hospitals: Sequence[str]) -> Fault:
    """Read one fault as a person wrote it.

    Args:
        kind: which option it was given to.
        text: such as `b@3`.
        hospitals: of the consortium.

    Raises:
        ConfigError: it is not written as `FORMS` says, or names nobody, or a number that a drill cannot hold.
    """
    typed = f"{kind.value} {visible(text)[:80]}"
    match = (_RATE if kind is Kind.SLOW else _AT).fullmatch(text)
    if match is None:
        raise _wrong(typed, kind)
    if kind is Kind.SLOW:
        return Fault(kind, hospital_named(match["who"], hospitals, typed), rate=_rate(match, typed), typed=typed)
    seconds, number = match["seconds"], int(match["round"])
    if (seconds is None) is (kind is Kind.CUT) and kind is not Kind.FREEZE:
        raise _wrong(typed, kind)
    if not 1 <= number <= MOST_ROUNDS:
        raise ConfigError(f"--{typed}: there is no round {number}; name one from 1 to {MOST_ROUNDS}")
    if seconds is not None and not 1 <= int(seconds) <= MOST_SECONDS:
        raise ConfigError(f"--{typed}: a drill lasts minutes; name 1 to {MOST_SECONDS} seconds")
    lasts = None if seconds is None else float(seconds)
    if kind is not Kind.RESTART:
        return Fault(kind, hospital_named(match["who"], hospitals, typed), number, lasts, typed=typed)
    if match["who"] != SERVER:
        raise _wrong(typed, kind)
    if number == 1:
        raise ConfigError(f"--{typed}: no round is kept before the second; name round 2 or a later one")
    return Fault(kind, SERVER, number, typed=typed)


def hospital_named(word: str, hospitals: Sequence[str], typed: str) -> str:
    """The hospital of a full name, or of a last part that only one of them has: `b` for `hospital-b`.

    Raises:
        ConfigError: nobody, or several.
    """
    found = [name for name in hospitals if name == word]
    found = found or [name for name in hospitals if name.endswith(word) and not name[: -len(word)][-1:].isalnum()]
    if len(found) == 1:
        return found[0]
    several = f"may be {' or '.join(found)}" if found else f"is none of {', '.join(hospitals)}"
    raise ConfigError(f"--{typed}: '{word}' {several}; write the whole name of a hospital")


def check_together(faults: Sequence[Fault], hospitals: Sequence[str]) -> None:
    """Refuse faults of which one would hide what another does.

    Raises:
        ConfigError: two meet, or each hospital has one that takes it out, for good or for a while.
    """
    for index, later in enumerate(faults):
        for one in [*faults[:index], *faults[index + 1 :]]:
            _check_pair(one, later)
    if not set(hospitals) - {fault.site for fault in faults if fault.may_lose}:
        raise ConfigError("these faults leave no hospital to go on with; leave one of them alone")


def _check_pair(one: Fault, later: Fault) -> None:
    both = f"--{one.typed} and --{later.typed}"
    if one.kind is later.kind and (one.site, one.kind) in ((later.site, Kind.SLOW), (SERVER, Kind.RESTART)):
        raise ConfigError(f"{both}: one of the two; leave the other out")
    if not one.round or not later.round:
        return
    if one.round == later.round and (one.site == later.site or Kind.RESTART in (one.kind, later.kind)):
        raise ConfigError(f"{both}: fall in the same round, and one would hide the other; name another round")
    if one.ends_it and one.site == later.site and one.round < later.round:
        raise ConfigError(f"{both}: {one.site} is out of the job from round {one.round} on; name an earlier round")


def rounds_of(faults: Sequence[Fault]) -> int:
    """Rounds of the job: one more than that of the last fault, which shows what came of it; at least two."""
    return max([1, *(fault.round for fault in faults)]) + 1


def usual_faults(hospitals: Sequence[str]) -> list[Fault]:
    """The drill of those who name no fault: a thin line, a line cut, the server lost, a hospital lost.

    Raises:
        ConfigError: there are fewer than two hospitals.
    """
    if len(hospitals) < 2:
        raise ConfigError("a drill needs two hospitals or more; name a project file with more of them")
    first, middle, last = hospitals[0], hospitals[len(hospitals) // 2], hospitals[-1]
    words = (
        (Kind.SLOW, f"{first}=8mbit"),
        (Kind.CUT, f"{last}@1:20"),
        (Kind.RESTART, f"{SERVER}@2"),
        (Kind.KILL, f"{middle}@3"),
    )
    return [read_fault(kind, text, hospitals) for kind, text in words]


def _rate(match: re.Match[str], typed: str) -> float:
    unit = UNITS.get(match["unit"])
    rate = float(match["amount"]) * unit / 8 if unit else 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise ConfigError(f"--{typed}: name a rate from 64kbit to 10gbit, such as 4mbit")
    return rate


def _wrong(typed: str, kind: Kind) -> ConfigError:
    return ConfigError(f"--{typed}: write {FORMS[kind]}, such as --{kind.value} {EXAMPLES[kind]}")
