"""What an eye should see first, and why: rules of thumb that say nothing of which mask is right."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from fedefm.data.grouping.groups import Link
from fedefm.data.inspection.seen import SPECK, TURNS, Mark, Seen
from fedefm.data.inspection.sequences import Place, gaps, sequences

OFF_LINE = "lies on no dark line, as it does elsewhere"
DARK = 0.4
"""From this median darkness on a class is one of dark lines: devices, vessels with contrast."""
FEW_OF_CINE = 0.25
SHORT_CINE = 4
_FAINT = 0.25  # of the class's median darkness
_TURN_GAIN = 0.5  # darkness that a mask wins when it is turned
_TURNED_SHARE = 0.5  # of a class's frames
_FOLDER = 20  # files, from which on one of them can be an outlier
_FAR = 8.0  # robust deviations
_RARE = 0.02


@dataclass(frozen=True)
class Suspect:
    """A frame to look at.

    Attributes:
        place: stem and frame.
        value: the mask value that it is about; None for the frame as a whole.
        why: without the name of a file.
        weight: what is greater is shown first.
    """

    place: Place
    value: int | None
    why: str
    weight: int


@dataclass(frozen=True)
class Turned:
    """Masks of a class that fit their images only when they are turned.

    Attributes:
        value: the class.
        how: one of `TURNS`.
        frames: that fit only so.
        of: frames that hold the class.
    """

    value: int
    how: str
    frames: int
    of: int


@dataclass(frozen=True)
class Sparse:
    """A class that is in few frames of a cine or series."""

    value: int
    stem: str
    frames: int
    of: int


def turned(seen: Mapping[str, Seen]) -> list[Turned]:
    """Classes of which at least half of the frames fit only when turned in the same way; three frames or more."""
    found = []
    for value, marks in _by_value(seen).items():
        best = Counter(how for _, mark in marks if (how := _better_turn(mark)) is not None)
        for how, count in best.most_common(1):
            if count >= max(3, _TURNED_SHARE * len(marks)):
                found.append(Turned(value, how, count, len(marks)))
    return found


def sparse(seen: Mapping[str, Seen], names: Mapping[int, str], links: Sequence[Link]) -> list[Sparse]:
    """Classes that are in at most a quarter of a cine's or series' frames, but in some.

    Only frames count that somebody looked at; there must be four or more. See `suspects`.
    """
    found = []
    for sequence in sequences(seen, links):
        if len(sequence) < SHORT_CINE:
            continue
        counts = Counter(value for stem, k in sequence for value in seen[stem].values[k] if value in names)
        found += [
            Sparse(value, sequence[0][0], count, len(sequence))
            for value, count in sorted(counts.items())
            if count <= FEW_OF_CINE * len(sequence)
        ]
    return found


def suspects(seen: Mapping[str, Seen], names: Mapping[int, str], links: Sequence[Link]) -> list[Suspect]:
    """Every suspicious frame, what is most telling first.

    Args:
        seen: all files by stem.
        names: class of each mask value that is one.
        links: what belongs together.
    """
    found = [*_of_marks(seen, names), *_of_sequences(seen, names, links), *_of_files(seen)]
    return sorted(found, key=lambda one: (-one.weight, one.place))


def _by_value(seen: Mapping[str, Seen]) -> dict[int, list[tuple[str, Mark]]]:
    found: dict[int, list[tuple[str, Mark]]] = defaultdict(list)
    for stem, one in seen.items():
        for mark in one.marks:
            found[mark.value].append((stem, mark))
    return dict(sorted(found.items()))


def _better_turn(mark: Mark) -> str | None:
    best = max(range(len(mark.darkness)), key=mark.darkness.__getitem__)
    if not best or mark.darkness[best] < mark.darkness[0] + _TURN_GAIN or mark.darkness[0] > mark.darkness[best] / 2:
        return None
    return list(TURNS)[best]


def _of_marks(seen: Mapping[str, Seen], names: Mapping[int, str]) -> Iterator[Suspect]:
    whole = {one.value: one.how for one in turned(seen)}
    for value, marks in _by_value(seen).items():
        name = names.get(value, f"value {value}")
        usual = median(mark.darkness[0] for _, mark in marks)
        speckled = sum(mark.specks > 0 for _, mark in marks) > len(marks) / 2
        sizes = np.log([mark.pixels for _, mark in marks])
        for (stem, mark), far in zip(marks, _distances(sizes, 0.2), strict=True):
            place = (stem, mark.frame)
            if value in whole and _better_turn(mark) == whole[value]:
                yield Suspect(place, value, f"{name} lies on a dark line only {whole[value]}", 10)
            elif usual >= DARK and mark.darkness[0] < _FAINT * usual:
                yield Suspect(place, value, f"{name} {OFF_LINE}", 8)
            if mark.specks and not speckled:
                parts = f"{mark.specks} part{'s' if mark.specks > 1 else ''}"
                yield Suspect(place, value, f"{name} has {parts} of at most {SPECK} pixels", 4)
            if len(marks) >= _FOLDER and far > _FAR:
                times = float(np.exp(np.log(mark.pixels) - np.median(sizes)))
                text = f"{times:.1f} times" if times > 1 else f"1/{1 / times:.1f} of"
                yield Suspect(place, value, f"{name} has {text} its usual area", 5)


def _of_sequences(seen: Mapping[str, Seen], names: Mapping[int, str], links: Sequence[Link]) -> Iterator[Suspect]:
    for sequence in sequences(seen, links):
        for value, name in names.items():
            has = [value in seen[stem].values[k] for stem, k in sequence]
            for k in gaps(has):
                yield Suspect(sequence[k], value, f"{name} is missing between two frames that have it", 7)
            if len(has) >= SHORT_CINE and 0 < sum(has) <= FEW_OF_CINE * len(has):
                why = f"{name} is in {sum(has)} of {len(has)} frames; were the others looked at?"
                yield Suspect(sequence[has.index(True)], value, why, 6)


def _of_files(seen: Mapping[str, Seen]) -> Iterator[Suspect]:
    usable = {stem: one for stem, one in seen.items() if one.problem is None}
    sizes = Counter(one.shape[1:] for one in usable.values())
    kinds: dict[tuple[str, int], dict[str, tuple[float, ...]]] = defaultdict(dict)
    for stem, one in usable.items():
        kinds[one.format, one.bits][stem] = one.grey  # 8 bits and 12 are no outliers of each other
        if one.constant:
            yield Suspect((stem, 0), None, "one grey value only", 3)
        if len(usable) >= _FOLDER and sizes[one.shape[1:]] <= _RARE * len(usable):
            yield Suspect((stem, 0), None, "of a rare size", 2)
    for greys in kinds.values():
        if len(greys) >= _FOLDER:
            yield from _of_greys(greys)


def _of_greys(greys: Mapping[str, tuple[float, ...]]) -> Iterator[Suspect]:
    table = np.array(list(greys.values()))
    width = 0.02 * float(np.ptp(table))
    for k, what in enumerate(("darkest", "middle", "brightest")):
        for stem, far in zip(greys, _distances(table[:, k], width), strict=True):
            if far > _FAR:
                yield Suspect((stem, 0), None, f"its {what} grey values are far from those of the others", 3)


def _distances(values: "np.ndarray", least: float) -> "np.ndarray":
    """Robust deviations from the median: 1.4826 times the median deviation is one, but `least` at least."""
    away = np.abs(values - np.median(values))
    found: np.ndarray = away / max(1.4826 * float(np.median(away)), least, 1e-12)
    return found
