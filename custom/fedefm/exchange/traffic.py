"""What each hospital holds of the weights that a job moves, and how many bytes are moved because it lacks them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic

from fedefm.exchange.messages import W


@dataclass(frozen=True)
class Moved:
    """Bytes of weights, both ways.

    Attributes:
        bytes: that were moved.
        least: that had to be: every set of weights that a hospital has never held once to it, every result once home.
    """

    bytes: int = 0
    least: int = 0

    def __sub__(self, other: Moved) -> Moved:
        return Moved(self.bytes - other.bytes, self.least - other.least)


@dataclass(frozen=True)
class Parcel:
    """What goes to a hospital with a task.

    Attributes:
        digests: of all models of the task, by name.
        packed: names of the models whose weights travel; the hospital has all others, or finds them among these.
        left: how many more the hospital lacks, which travel when it says so.
    """

    digests: Mapping[str, str]
    packed: frozenset[str]
    left: int = 0

    @property
    def whole(self) -> bool:
        """Whether it brings everything that the task needs."""
        return len(self.packed) == len(set(self.digests.values()))


class Traffic(Generic[W]):
    """The server's knowledge of what hospitals hold; nothing is taken from it on trust.

    A hospital that says it holds what it lacks has to say so later, and is sent it then.

    Attributes:
        moved: bytes so far, of all.
        to_site: bytes of weights that each hospital was sent.
        from_site: bytes of weights that came from each.

    Args:
        digest: names weights by their content.
        size: bytes of weights on the wire.
    """

    def __init__(self, digest: Callable[[W], str], size: Callable[[W], int]):
        self._digest, self._size = digest, size
        self._held: dict[str, set[str]] = {}
        self._ever: dict[str, set[str]] = {}
        self.moved = Moved()
        self.to_site: Counter[str] = Counter()
        self.from_site: Counter[str] = Counter()

    def pack(self, site: str, models: Mapping[str, W], *, whole: bool = False, most: float | int = math.inf) -> Parcel:
        """What a hospital must be sent, counted as sent.

        Args:
            site: the hospital.
            models: that it needs, by name.
            whole: send all, whatever it holds.
            most: bytes of one message, which holds at least one model; a hospital that keeps nothing is sent all at
                once, as it must have them all in memory.
        """
        digests = {name: self._digest(weights) for name, weights in models.items()}
        first = {digest: name for name, digest in reversed(digests.items())}
        held = set[str]() if whole else self._held.get(site, set())
        lacking = [name for name in models if first[digests[name]] == name and digests[name] not in held]
        sizes = {name: self._size(models[name]) for name in first.values()}
        packed = lacking if whole or site not in self._held else _as_many(lacking, sizes, most)
        size = sum(sizes[name] for name in packed)
        self._count(size)
        self.to_site[site] += size
        for digest, name in first.items():
            self._must(site, digest, sizes[name])
        if site in self._held:
            self._held[site].update(digests[name] for name in packed)
        return Parcel(digests, frozenset(packed), len(lacking) - len(packed))

    def came(self, site: str, weights: W) -> None:
        """A hospital's result came home; it holds what it sent."""
        digest, size = self._digest(weights), self._size(weights)
        self._count(size)
        self.from_site[site] += size
        self.moved = Moved(self.moved.bytes, self.moved.least + size)
        self._ever.setdefault(site, set()).add(digest)
        if site in self._held:
            self._held[site].add(digest)

    def told(self, site: str, held: Collection[str] | None) -> None:
        """What a hospital says that it holds; None where it keeps no weights. It takes the place of what was known."""
        if held is None:
            self._held.pop(site, None)
            return
        self._held[site] = set(held)
        self._ever.setdefault(site, set()).update(held)

    def lacking(self, site: str, digests: Collection[str]) -> int:
        """How many of these a hospital is not known to hold."""
        return len(set(digests).difference(self._held.get(site, ())))

    def _count(self, size: int) -> None:
        self.moved = Moved(self.moved.bytes + size, self.moved.least)

    def _must(self, site: str, digest: str, size: int) -> None:
        ever = self._ever.setdefault(site, set())
        if digest not in ever:
            ever.add(digest)
            self.moved = Moved(self.moved.bytes, self.moved.least + size)


def _as_many(names: Sequence[str], sizes: Mapping[str, int], most: float | int) -> list[str]:
    """The first names, as many as have so many bytes together, but one at least."""
    sums = accumulate(sizes[name] for name in names)
    return [name for place, (name, size) in enumerate(zip(names, sums, strict=True)) if size <= most or place == 0]
