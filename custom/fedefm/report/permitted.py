"""All that may leave a hospital of what `data check` finds: counts and figures of many images, no name of anything.

Rule: a count below `least` is held back (null), as in every job; where one hidden count could be had by taking the
others from a sum, the least of those that are shown is hidden as well, and no sum is told.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedefm.data.manifest import SPLIT_NAMES
from fedefm.data.survey.inspection import Inspection
from fedefm.data.survey.seen import Seen
from fedefm.metrics.suppression import told_count

VERSION = 1
_PERCENTILES = (10, 50, 90)


def permitted(inspection: Inspection, least: int) -> dict[str, Any]:
    """The summary as plain values for JSON.

    Mask values of a folder without `dataset.json` are named by their number, as their classes are named after the
    folder.

    Args:
        inspection: of the folder.
        least: fewest images, and fewest patients, that a figure may rest on.
    """
    used = {stem: one for stem, one in inspection.seen.items() if one.values}
    frames = Counter(split for stem, one in used.items() for split in [inspection.split_of.get(stem)] * len(one.values))
    patients = {inspection.patient_of[stem]: inspection.split_of[stem] for stem in used if stem in inspection.split_of}
    return {
        "version": VERSION,
        "least": least,
        "synthetic": inspection.manifest.synthetic,
        "frames": _held({split: frames[split] for split in SPLIT_NAMES}, least),
        "patients": _held({split: list(patients.values()).count(split) for split in SPLIT_NAMES}, least),
        "classes": _classes(inspection, used, frames, least),
        "unreadable": told_count(sum(one.problem is not None for one in inspection.seen.values()), least),
        "formats": _shown(Counter(one.format for one in used.values()), least),
        "bits": _shown(Counter(str(one.bits) for one in used.values()), least),
        "sizes": _shown(Counter(f"{one.shape[2]} x {one.shape[1]}" for one in used.values()), least),
        "spacing_mm": _spread([sum(one.spacing_mm) / 2 for one in used.values() if one.spacing_mm is not None], least),
        "grey": {
            name: _spread([one.grey[k] for one in used.values()], least)
            for k, name in enumerate(("percentile_1", "median", "percentile_99"))
        },
    }


def _classes(
    inspection: Inspection, used: Mapping[str, Seen], frames: Mapping[str | None, int], least: int
) -> dict[str, Any]:
    """Frames that hold each class, by split; held back too where only a few do not hold it."""
    holding: Counter[tuple[int, str | None]] = Counter()
    shares: dict[int, list[float]] = {}
    for stem, one in used.items():
        for mark in one.marks:
            holding[mark.value, inspection.split_of.get(stem)] += 1
            shares.setdefault(mark.value, []).append(mark.pixels / (one.shape[1] * one.shape[2]))
    found = {}
    for value, name in inspection.class_names.items():
        counts = {split: _both(holding[value, split], frames.get(split, 0), least) for split in SPLIT_NAMES}
        title = f"value {value}" if inspection.inferred else name
        found[title] = {"frames": counts, "share_of_frame": _spread(shares.get(value, []), least)}
    return found


def _both(count: int, of: int, least: int) -> int | None:
    """A part of a whole, or None where it or the rest is small."""
    return None if told_count(of - count, least) is None else told_count(count, least)


def _held(counts: Mapping[str, int], least: int) -> dict[str, int | None]:
    """Counts that add up to something: where one alone would be hidden, the least of the others is hidden too."""
    kept = _shown(Counter(dict(counts)), least)
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


def _spread(values: list[float], least: int) -> dict[str, float] | None:
    """Percentiles over files, to three digits, so that none of them is one file's own value; None of few."""
    if len(values) < max(least, 1):
        return None
    found = np.percentile(values, _PERCENTILES).tolist()
    return {f"percentile_{k}": float(f"{value:.3g}") for k, value in zip(_PERCENTILES, found, strict=True)}
