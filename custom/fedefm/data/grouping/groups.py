"""Images to patients, by what can be believed most: DICOM headers, names, and how pictures look.

What `dataset.json` states in `patients` or `splits` is kept as it stands; then this says where it contradicts the
evidence. Otherwise files that belong together are one patient. A patient is named after its first file, so that a file
that belongs to no other is split as it would be by its name alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from jaxtyping import Int8

from fedefm.data.grouping.headers import NOBODY, Identity
from fedefm.data.grouping.looks import alike, cosine
from fedefm.data.grouping.names import NEAR, Run, patient_in, running, series_in
from fedefm.data.manifest import Manifest

_FRAMES = 0.82  # median cosine of neighbours, from which on files that are counted are taken for frames
_NEARER = (0.6, 0.15)  # or this, where files that lie further apart in the run have so much less
_CUT = 0.6  # below it another scene begins, though the numbers go on


class Why(StrEnum):
    """What says that two files belong together, from what is believed most."""

    PATIENT = "one patient in DICOM headers"
    STUDY = "one study in DICOM headers"
    NAME = "one patient in names"
    SERIES = "frames of one series in names"
    RUN = "numbers that follow in names, and pictures alike"
    ALIKE = "nearly the same picture"


@dataclass(frozen=True)
class Link:
    """Two files that belong together, by their stems."""

    one: str
    other: str
    why: Why


@dataclass(frozen=True)
class Facts:
    """What is known of a file.

    Attributes:
        looks: of its frames, see `looks_of`; None where it could not be read.
        identity: of its header.
    """

    looks: Int8[np.ndarray, "k 1024"] | None
    identity: Identity


UNREAD = Facts(None, NOBODY)
"""Of a file that cannot be read, or was not."""


@dataclass(frozen=True)
class Evidence:
    """What was found in a folder.

    Attributes:
        links: files that belong together.
        unsure: names that are counted as frames are, whose pictures are not alike: patients, or a run that moves.
    """

    links: tuple[Link, ...]
    unsure: tuple[Run, ...]


def find_evidence(facts: Mapping[str, Facts]) -> Evidence:
    """What belongs together in a folder, by the stem of each image.

    A name counts for nothing between two files whose headers name two patients. Pictures that are nearly the same
    belong together whatever else is said of them.
    """
    links = [
        *_headers(facts, Why.PATIENT),
        *_headers(facts, Why.STUDY),
        *_equal({stem: patient_in(stem) for stem in facts}, Why.NAME),
        *_equal({stem: series_in(stem) for stem in facts}, Why.SERIES),
    ]
    followed, unsure = _runs(facts)
    kept = [link for link in [*links, *followed] if not _contradicted(link, facts)]
    return Evidence((*kept, *_alike(facts)), tuple(unsure))


def is_stated(manifest: Manifest) -> bool:
    """Whether `dataset.json` says whose the images are; nothing else is asked then."""
    return manifest.patients is not None or manifest.splits is not None


def patients_by(manifest: Manifest, stems: Iterable[str], links: Sequence[Link]) -> dict[str, str]:
    """The patient of each file: as stated, or else the group that the links make.

    Raises:
        DataError: `patients` of `dataset.json` does not match a file.
    """
    named = {stem: manifest.patient_of(stem) for stem in stems}
    return named if is_stated(manifest) else joined(named, links)


def joined(named: Mapping[str, str], links: Iterable[Link]) -> dict[str, str]:
    """Each file's group, named after the least name in it.

    Args:
        named: stem to patient, as far as it is known; files of one name are in one group.
        links: join the groups of their two files.
    """
    first = {name: name for name in named.values()}

    def root(name: str) -> str:
        while first[name] != name:
            first[name] = first[first[name]]
            name = first[name]
        return name

    for link in links:
        low, high = sorted((root(named[link.one]), root(named[link.other])))
        first[high] = low
    return {stem: root(name) for stem, name in named.items()}


def reasons(named: Mapping[str, str], links: Sequence[Link]) -> Counter[Why]:
    """How many joins of two groups each kind of evidence makes, what is believed most first."""
    order = list(Why)
    found, known = Counter[Why](), dict(named)
    ranked = sorted(links, key=lambda link: order.index(link.why))
    for why in order:
        before = len(set(known.values()))
        known = joined(known, (link for link in ranked if link.why is why))
        if before > len(set(known.values())):
            found[why] = before - len(set(known.values()))
    return found


def _headers(facts: Mapping[str, Facts], why: Why) -> list[Link]:
    field = "patient" if why is Why.PATIENT else "study"
    return _equal({stem: getattr(one.identity, field) for stem, one in facts.items()}, why)


def _equal(keys: Mapping[str, object | None], why: Why) -> list[Link]:
    """Each file with the one before it of the same key."""
    last: dict[object, str] = {}
    found = []
    for stem, key in keys.items():
        if key is not None:
            if key in last:
                found.append(Link(last[key], stem, why))
            last[key] = stem
    return found


def _runs(facts: Mapping[str, Facts]) -> tuple[list[Link], list[Run]]:
    """Runs of numbers are frames where most neighbours look alike, and end where the scene changes."""
    found, unsure = [], []
    for run in running(stem for stem in facts if series_in(stem) is None and facts[stem].looks is not None):
        near = [
            (one, other)
            for (one, other), (low, high) in zip(pairwise(run.stems), pairwise(run.numbers), strict=True)
            if high - low <= NEAR
        ]
        if len(near) < 2:
            continue
        cosines = _neighbours(facts, near)
        if _are_frames(facts, run, float(np.median(cosines))):
            found += [Link(*pair, Why.RUN) for pair, value in zip(near, cosines, strict=True) if value >= _CUT]
        else:
            unsure.append(run)
    return found, unsure


def _are_frames(facts: Mapping[str, Facts], run: Run, near: float) -> bool:
    """Neighbours are alike, or more so than files that lie a third of the run apart: patients know no order."""
    least, less = _NEARER
    if near >= _FRAMES or near < least or len(run.stems) < 9:
        return near >= _FRAMES
    far = list(zip(run.stems, run.stems[len(run.stems) // 3 :], strict=False))
    return near - float(np.median(_neighbours(facts, far))) >= less


def _neighbours(facts: Mapping[str, Facts], pairs: Sequence[tuple[str, str]]) -> "np.ndarray":
    """How alike the last frame of a file and the first of the next are."""
    looks = [look for one, other in pairs for look in (_looks(facts, one)[-1], _looks(facts, other)[0])]
    if not looks:
        return np.zeros(0)
    return cosine(np.stack(looks), np.arange(len(looks)).reshape(-1, 2))


def _looks(facts: Mapping[str, Facts], stem: str) -> Int8[np.ndarray, "k 1024"]:
    looks = facts[stem].looks
    assert looks is not None  # noqa: S101 files without looks were left out
    return looks


def _alike(facts: Mapping[str, Facts]) -> list[Link]:
    stems = [stem for stem, one in facts.items() if one.looks is not None]
    if not stems:
        return []
    owners = [stem for stem in stems for _ in _looks(facts, stem)]
    pairs, _ = alike(np.concatenate([_looks(facts, stem) for stem in stems]))
    named = dict.fromkeys((owners[a], owners[b]) for a, b in pairs.tolist() if owners[a] != owners[b])
    return [Link(one, other, Why.ALIKE) for one, other in named]


def _contradicted(link: Link, facts: Mapping[str, Facts]) -> bool:
    if link.why in (Why.PATIENT, Why.STUDY):
        return False
    one, other = (facts[stem].identity.patient for stem in (link.one, link.other))
    return one is not None and other is not None and one != other
