"""What survives from one round to the next; saved at the end of each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import W
from fedefm.exchange.reputation import Agreement

S = TypeVar("S", bound="Attendance")
V = TypeVar("V")


@dataclass(frozen=True)
class Attendance:
    """Who takes part: what the stages of every job keep. A new value each time, never changed in place.

    Attributes:
        round: the next round to run.
        corpora: label corpus of every hospital that has prepared.
        images: number of training images of every hospital that has prepared.
        misses: stages in a row that a hospital failed.
        returns: how often a hospital came back since it last did any work.
        away_until: by hospital that failed too many stages, the first round in which it is asked whether it is back.
        missed_visits: stages in a row in which a host was waited for in vain while others' weights visited it.
        benched: by host that has missed too many, the first round in which it is asked for visits again.
        removed: hospitals that the consortium removed while the job ran; for this job that is final.
    """

    round: int
    corpora: dict[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    images: dict[str, int] = field(default_factory=dict, kw_only=True)
    misses: dict[str, int] = field(default_factory=dict, kw_only=True)
    returns: dict[str, int] = field(default_factory=dict, kw_only=True)
    away_until: dict[str, int] = field(default_factory=dict, kw_only=True)
    missed_visits: dict[str, int] = field(default_factory=dict, kw_only=True)
    benched: dict[str, int] = field(default_factory=dict, kw_only=True)
    removed: frozenset[str] = field(default=frozenset(), kw_only=True)

    def with_outcome(self: S, worked: frozenset[str], failed: frozenset[str]) -> S:
        """The state after a stage: who failed has one miss more, who worked has none, all others keep theirs."""
        kept = {site: n for site, n in self.misses.items() if site not in worked}
        more = {site: self.misses.get(site, 0) + 1 for site in failed}
        return replace(self, misses=kept | more)

    def with_absences(self: S, before: Attendance, max_misses: int) -> S:
        """The state with those who failed too often since `before`: each is asked again from the next round on.

        One that came back, and failed again before it did any work, is left alone for 2 rounds, then 4, 8 ...
        """
        gone = set(before.present(max_misses)).difference(self.present(max_misses), self.removed)
        until = {site: self.round + 2 ** self.returns.get(site, 0) for site in gone}
        return replace(self, away_until=self.away_until | until)

    def with_work(self: S, worked: frozenset[str]) -> S:
        """The state after these hospitals did work: what they failed before no longer counts."""
        return replace(self, returns={site: n for site, n in self.returns.items() if site not in worked})

    def with_returned(self: S, sites: Collection[str], max_misses: int) -> S:
        """The state after these hospitals said that they are back: they get work, and one more miss ends that."""
        misses = self.misses | dict.fromkeys(sites, max_misses - 1)
        return replace(self, misses=misses, returns=self.returns | {s: self.returns.get(s, 0) + 1 for s in sites})

    def with_visits(self: S, answered: frozenset[str], silent: frozenset[str], max_misses: int) -> S:
        """The state after a stage of visits.

        A host that was waited for in vain in `max_misses` of them in a row is benched: for the rest of the round and
        one whole round, then, with every miss more, for 2, 4, 8 ... A visit that it answers wipes that out. So a host
        that never answers a visit is waited for about log2(rounds) times, however many silos visit it.
        """
        missed = {site: n for site, n in self.missed_visits.items() if site not in answered}
        missed |= {site: self.missed_visits.get(site, 0) + 1 for site in silent}
        benched = {site: until for site, until in self.benched.items() if site not in answered}
        benched |= {s: self.round + 1 + 2 ** (missed[s] - max_misses) for s in silent if missed[s] >= max_misses}
        return replace(self, missed_visits=missed, benched=benched)

    def present(self, max_misses: int) -> tuple[str, ...]:
        """Hospitals that have prepared and still answer, sorted."""
        able = (site for site in sorted(self.corpora) if site not in self.removed)
        return tuple(site for site in able if self.misses.get(site, 0) < max_misses)

    def hosts(self, max_misses: int) -> tuple[str, ...]:
        """Hospitals that are present and may be asked for visits in this round, sorted."""
        return tuple(site for site in self.present(max_misses) if self.benched.get(site, 0) <= self.round)

    def away(self, max_misses: int) -> tuple[str, ...]:
        """Hospitals that failed too often, or have not prepared, and are to be asked in this round; sorted."""
        known = {*self.corpora, *self.misses}.difference(self.removed, self.present(max_misses))
        return tuple(site for site in sorted(known) if self.away_until.get(site, 0) <= self.round)


@dataclass(frozen=True)
class RoundState(Attendance, Generic[W]):
    """The state of a run between two rounds: who takes part, and every model.

    Attributes:
        silos: theta_i of every silo.
        theta: the global weights Theta; None before the first aggregate.
        trained: silos that finished their first local training.
        variates: control variates of the silos, in SCAFFOLD only.
        agreement: by host, class and silo, how far the silo's last assessed weights agreed with the host's labels.
    """

    silos: dict[str, W]
    theta: W | None = None
    trained: frozenset[str] = frozenset()
    variates: dict[str, W] = field(default_factory=dict)
    agreement: Agreement = field(default_factory=dict)

    def __post_init__(self) -> None:
        absent = set[str]().union(self.returns, self.away_until, self.missed_visits, self.benched, self.removed)
        strangers = self.trained.union(self.corpora, self.misses, self.variates, absent) - set(self.silos)
        if self.round < 0 or strangers:
            raise ProtocolError(f"round state: round {self.round} is negative or {sorted(strangers)} have no weights")

    def with_weights(self, change: Callable[[W], V]) -> RoundState[V]:
        """The same state with other values for weights, such as their names on disk; all else stays."""
        changed: dict[str, Any] = {
            "silos": {site: change(weights) for site, weights in self.silos.items()},
            "theta": None if self.theta is None else change(self.theta),
            "variates": {site: change(weights) for site, weights in self.variates.items()},
        }
        return replace(self, **changed)  # type: ignore[return-value]
