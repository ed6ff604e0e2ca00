"""All that may leave a hospital of what `data check` finds: counts and figures of many images, no name but of classes.

It is what `data check --summary` writes, and what the job of the data report sends. Rule: a count below `least` is held
back (None), as in every job; where one hidden count could be had by taking the others from a sum, the least of those
that are shown is hidden as well. A figure that rests on fewer images is held back too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean, median
from typing import Any

from fedefm.data.describe import FolderSummary
from fedefm.data.inspection.seen import Seen
from fedefm.data.inspection.whole import Inspection
from fedefm.data.manifest import BACKGROUND, SPLIT_NAMES, Manifest, parts_of
from fedefm.errors import ConfigError
from fedefm.metrics.suppression import DIGITS, told_count

GREYS = ("dark", "middle", "bright")
"""Percentiles 1, 50 and 99 of a file's greys."""

MOST_KINDS = 8
"""Sizes and bits that are told, the most frequent ones."""


def permitted(inspection: Inspection, described: FolderSummary, least: int) -> dict[str, Any]:
    """The summary of a folder, as plain values for JSON.

    Classes of a folder without `dataset.json` are called by their numbers, as they are named after the folder.

    Args:
        inspection: of the folder.
        described: `describe` of it.
        least: smallest number of images that may be told.

    Returns:
        `least`; `corpus` and `test_corpus`, class names; `trains`, whether training would start; `synthetic`; `frames`
        by split, `patients`, `cines`, `unreadable` files; `formats` (files by format); `sizes` (columns, rows, files)
        and `bits` (bits, files); `grey`, medians over the files of percentiles 1, 50 and 99 as a share of what the
        stored bits can express; `spacing_mm`, the median over `files` of the mean of rows and columns; `classes`,
        frames that hold each class by split, `undecided` ones where a union leaves it open, and the mean `share` of the
        pixels of such a frame.

    Raises:
        ConfigError: `least` is below 1.
    """
    if least < 1:
        raise ConfigError(f"a least of {least} images hides nothing; give 1 or more")
    manifest = inspection.manifest
    used = [one for one in inspection.seen.values() if one.values]
    frames = Counter(split for one in used for split in [_split(inspection, one)] * len(one.values))
    named = _names(inspection)
    spacings = [sum(one.spacing_mm) / 2 for one in used if one.spacing_mm is not None]
    return {
        "least": least,
        "corpus": [named[name] for name in manifest.annotated],
        "test_corpus": [named[name] for name in manifest.test_annotated],
        "synthetic": manifest.synthetic,
        "trains": not described.stops,
        "frames": _held({split: frames[split] for split in SPLIT_NAMES}, least),
        "patients": told_count(described.patients, least),
        "cines": told_count(described.cines, least),
        "unreadable": told_count(described.unreadable, least),
        "formats": _shown(Counter(one.format for one in used), least),
        "sizes": _kinds(used, lambda one: {"columns": one.shape[2], "rows": one.shape[1]}, least),
        "bits": _kinds(used, lambda one: {"bits": one.bits}, least),
        "grey": {name: _figure([_level(one, k) for one in used], least) for k, name in enumerate(GREYS)},
        "spacing_mm": {"median": _figure(spacings, least), "files": told_count(len(spacings), least)},
        "classes": {named[name]: one for name, one in _classes(inspection, used, frames, least)},
    }


def _level(seen: Seen, k: int) -> float:
    """A percentile of a file's greys, as a share of what its bits can express."""
    low, high = seen.levels
    return min(max((seen.grey[k] - low) / (high - low), 0.0), 1.0) if high > low else 0.0


def _split(inspection: Inspection, seen: Seen) -> str | None:
    return inspection.split_of.get(seen.pair.stem)


def _names(inspection: Inspection) -> dict[str, str]:
    """What each class may be called outside."""
    classes = inspection.manifest.classes
    if inspection.inferred:
        return {name: f"value {value}" for value, name in classes.items()}
    return {part: part for name in classes.values() for part in parts_of(name)}


def _classes(
    inspection: Inspection, used: Iterable[Seen], frames: Mapping[str | None, int], least: int
) -> Iterator[tuple[str, dict[str, int | float | None]]]:
    """Frames that hold each class, by split; held back too where only a few do not hold it."""
    holding: Counter[tuple[str, str | None]] = Counter()
    undecided: Counter[str] = Counter()
    shares: dict[str, list[float]] = {}
    for one in used:
        split = _split(inspection, one)
        for values in one.values:
            for value, pixels in values.items():
                parts = _annotated(inspection.manifest, value, split)
                if len(parts) > 1:
                    undecided.update(parts)
                elif parts:
                    holding[parts[0], split] += 1
                    shares.setdefault(parts[0], []).append(pixels / (one.shape[1] * one.shape[2]))
    for name in inspection.manifest.foreground:
        found = shares.get(name, [])
        yield (
            name,
            {
                **{split: _part(holding[name, split], frames.get(split, 0), least) for split in SPLIT_NAMES},
                "undecided": told_count(undecided[name], least),
                "share": _rounded(fmean(found)) if len(found) >= least else None,
            },
        )


def _annotated(manifest: Manifest, value: int, split: str | None) -> list[str]:
    """The classes that a mask value may stand for in a split."""
    corpus = manifest.test_annotated if split == "test" else manifest.annotated
    return [part for part in parts_of(manifest.classes.get(value, BACKGROUND)) if part in corpus]


def _part(count: int, of: int, least: int) -> int | None:
    """A part of a whole, or None where it or the rest is small; that there is none is told."""
    return None if count and told_count(of - count, least) is None else told_count(count, least)


def _held(counts: Mapping[str, int], least: int) -> dict[str, int | None]:
    """Counts that add up to something: where one alone would be hidden, the least of the others is hidden too."""
    kept = _shown(counts, least)
    return {name: 0 if count == 0 else kept.get(name) for name, count in counts.items()}


def _shown(counts: Mapping[str, int], least: int) -> dict[str, int]:
    """The counts that may be told, largest first."""
    kept = {
        key: count for key, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))) if count >= least
    }
    hidden = sum(count for count in counts.values() if count < least)
    if 0 < hidden < least and kept:
        kept.popitem()
    return kept


def _kinds(used: Iterable[Seen], kind: Callable[[Seen], dict[str, int]], least: int) -> list[dict[str, int]]:
    """How many files are of each kind, the most frequent first."""
    kinds = {str(kind(one)): kind(one) for one in used}
    shown = _shown(Counter(str(kind(one)) for one in used), least)
    return [{**kinds[key], "files": files} for key, files in list(shown.items())[:MOST_KINDS]]


def _figure(values: list[float], least: int) -> float | None:
    """The median over files; None of few."""
    return _rounded(median(values)) if values and len(values) >= least else None


def _rounded(value: float) -> float:
    """To three digits, so that it is no file's own value, and to the decimals of every figure that leaves."""
    return round(float(f"{value:.3g}"), DIGITS)
