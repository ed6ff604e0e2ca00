"""Where a split would test what was trained on, and where one picture has two masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from fedefm.data.grouping.groups import Link, Why, joined
from fedefm.data.grouping.looks import SAME, cosine
from fedefm.data.grouping.offer import lines_for
from fedefm.data.inspection.whole import Inspection


@dataclass(frozen=True)
class Parted:
    """Files that belong together and lie in two splits.

    Attributes:
        why: what says so.
        links: pairs of them, one or more.
    """

    why: Why
    links: tuple[Link, ...]


def parted(inspection: Inspection) -> list[Parted]:
    """What the split as it stands parts, by what is believed most; nothing where groups that were found are split."""
    split_of = inspection.split_of
    torn = [link for link in inspection.evidence.links if split_of.get(link.one) != split_of.get(link.other)]
    torn.sort(key=lambda link: list(Why).index(link.why))
    return [Parted(why, tuple(links)) for why, links in groupby(torn, key=lambda link: link.why)]


def contradictions(inspection: Inspection) -> list[tuple[str, str]]:
    """Pairs of files that hold one picture, with different masks.

    Equal pixels are one picture, whatever their file's format; and so are looks at a cosine of `SAME`, but for files
    that are a series by name, whose neighbours may well be as alike.
    """
    seen = inspection.seen
    return [(one, other) for one, other in _twins(inspection) if seen[one].labels != seen[other].labels]


def doubles(inspection: Inspection) -> int:
    """Files whose picture another file holds as well, each counted once."""
    return len(_twins(inspection))


def offer(inspection: Inspection) -> dict[str, object]:
    """The lines for `dataset.json` that keep together what was found to belong together."""
    stems = list(inspection.images)
    named = inspection.patient_of or {stem: stem for stem in stems}
    groups = joined(named, inspection.evidence.links)
    splits = inspection.split_of if inspection.manifest.splits is not None and inspection.split_of else None
    return lines_for(groups, splits)


def _twins(inspection: Inspection) -> list[tuple[str, str]]:
    """Each file with an earlier one of the same picture."""
    seen = {stem: one for stem, one in inspection.seen.items() if one.problem is None and not one.constant}
    first: dict[bytes, str] = {}
    found = [(first.setdefault(one.picture, stem), stem) for stem, one in seen.items()]
    equal = [(one, other) for one, other in found if one != other]
    known = {other for _, other in equal}
    return equal + [(one, other) for one, other in _encoded_anew(inspection) if other not in known]


def _encoded_anew(inspection: Inspection) -> Iterator[tuple[str, str]]:
    seen, links = inspection.seen, inspection.evidence.links
    series = joined({s: s for s in inspection.images}, (k for k in links if k.why in (Why.SERIES, Why.RUN)))
    for link in links:
        if link.why is not Why.ALIKE or series[link.one] == series[link.other]:
            continue
        one, other = seen[link.one], seen[link.other]
        if one.looks is None or other.looks is None or len(one.values) != 1 or len(other.values) != 1:
            continue
        if one.picture == other.picture:
            continue
        if cosine(np.concatenate([one.looks, other.looks]), np.array([[0, 1]]))[0] >= SAME:
            yield min(link.one, link.other), max(link.one, link.other)
