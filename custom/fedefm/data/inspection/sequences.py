"""Frames in the order in which they were taken: cines, and files whose names continue one another."""

from collections.abc import Iterable, Mapping, Sequence

from fedefm.data.grouping.groups import Link, Why
from fedefm.data.inspection.seen import Seen

Place = tuple[str, int]
"""A stem, and a frame of its file."""


def sequences(seen: Mapping[str, Seen], links: Iterable[Link]) -> list[list[Place]]:
    """Each cine, and each chain of files of one frame that are a series by name; of what could be read and compared.

    Frames that nobody looked at are left out.
    """
    usable = {stem: one for stem, one in seen.items() if one.values}
    cines = [[(stem, k) for k in range(len(one.values))] for stem, one in usable.items() if len(one.values) > 1]
    chains = _chains({stem for stem, one in usable.items() if len(one.values) == 1}, links)
    looked_at = [[(stem, k) for stem, k in places if k in seen[stem].looked_at] for places in (*cines, *chains)]
    return [places for places in looked_at if places]


def _chains(stems: set[str], links: Iterable[Link]) -> list[list[Place]]:
    after: dict[str, str] = {}
    for link in links:
        if link.why in (Why.SERIES, Why.RUN) and {link.one, link.other} <= stems:
            after.setdefault(link.one, link.other)
    followers, found = set(after.values()), []
    for stem in [one for one in after if one not in followers]:
        chain: list[Place] = [(stem, 0)]
        while (following := after.get(chain[-1][0])) is not None and len(chain) <= len(after):
            chain.append((following, 0))
        found.append(chain)
    return found


def gaps(has: Sequence[bool]) -> list[int]:
    """Places without something whose two neighbours have it."""
    return [k for k in range(1, len(has) - 1) if has[k - 1] and not has[k] and has[k + 1]]
