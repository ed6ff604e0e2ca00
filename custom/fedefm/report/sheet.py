"""The sheet of `data check`: a hospital's own images with the contours of their masks, the suspicious first.

What no header shows an eye finds in a minute. The page holds pictures and names of files, so it says on its top that
it stays at the hospital. It needs no other file, no network and no script, and its size is bounded.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedefm.data.describe import STOPS, FolderSummary
from fedefm.data.folder import IMAGES, MASKS
from fedefm.data.inspection.sequences import Place
from fedefm.data.inspection.shift import better_place, in_words
from fedefm.data.inspection.suspects import OFF_LINE, suspects
from fedefm.data.inspection.whole import Inspection
from fedefm.files import write_whole
from fedefm.report.overlay import evenly
from fedefm.report.palette import class_colours
from fedefm.report.shots import Shot, contours, frame_of, grey_address, labels_of
from fedefm.report.templates import environment

MOST_SUSPECTS = 60
MOST_USUAL = 96  # of all classes together
MOST_LEFT_OUT = 24


@dataclass(frozen=True)
class Part:
    """Pictures under one heading.

    Attributes:
        title: the heading.
        shots: what is shown.
        of: how many there are.
    """

    title: str
    shots: Sequence[Shot]
    of: int


def write_sheet(inspection: Inspection, summary: FolderSummary, path: Path) -> None:
    """Write the page, readable by this account alone.

    Raises:
        ConfigError: it cannot be written.
    """
    write_whole(path, sheet(inspection, summary), mode=0o600)


def sheet(inspection: Inspection, summary: FolderSummary) -> str:
    """The page as HTML."""
    colours = class_colours(list(inspection.class_names.values()))
    painter = _Painter(inspection, {value: colours[name] for value, name in inspection.class_names.items()})
    doubtful = _doubtful(inspection)
    return (
        environment()
        .get_template("sheet.html")
        .render(
            summary=summary,
            synthetic=inspection.manifest.synthetic,
            grouped=[line.strip() for line in summary.grouped.lines()],
            anomalies=[line.removesuffix(STOPS) for line in summary.anomalies[:MOST_SUSPECTS]],
            anomalies_total=len(summary.anomalies),
            suspicious=Part("", [painter.shot(place, why) for place, why in doubtful[:MOST_SUSPECTS]], len(doubtful)),
            usual=_usual(inspection, painter, {place for place, _ in doubtful}),
            left_out=_left_out(inspection, painter),
            class_colours=colours,
        )
    )


def _doubtful(inspection: Inspection) -> list[tuple[Place, list[str]]]:
    """Frames with all that is suspicious about each, the most telling first."""
    found: dict[Place, list[str]] = defaultdict(list)
    for one in suspects(inspection.seen, inspection.class_names, inspection.evidence.links):
        found[one.place].append(one.why)
    return list(found.items())


def _usual(inspection: Inspection, painter: "_Painter", known: set[Place]) -> list[Part]:
    """For each class one frame a patient, of patients that are taken evenly from the first to the last."""
    most = max(4, MOST_USUAL // max(1, len(inspection.class_names)))
    parts = []
    for value, name in inspection.class_names.items():
        of_patient: dict[str, list[Place]] = defaultdict(list)
        for stem, one in inspection.seen.items():
            patient = inspection.patient_of.get(stem, stem)
            of_patient[patient] += [(stem, mark.frame) for mark in one.marks if mark.value == value]
        places = [
            kept[len(kept) // 2]
            for _, all_of in sorted(of_patient.items())
            if (kept := [place for place in all_of if place not in known])
        ]
        parts.append(Part(name, [painter.shot(place) for place in evenly(places, most)], len(places)))
    return parts


def _left_out(inspection: Inspection, painter: "_Painter") -> Part:
    found: list[tuple[Path, str]] = []
    for stem, image in inspection.images.items():
        seen = inspection.seen.get(stem)
        if seen is None:
            found.append((image, f"{IMAGES}/{image.name} has no mask"))
        elif seen.problem is not None:
            found.append((image, seen.problem))
        elif seen.mask_shape != seen.shape:
            found.append((image, f"{MASKS}/{seen.pair.mask.name} is of another size"))
    found += [
        (mask, f"{MASKS}/{mask.name} has no image")
        for stem, mask in inspection.masks.items()
        if stem not in inspection.images
    ]
    return Part("", [painter.thumbnail(path, why) for path, why in found[:MOST_LEFT_OUT]], len(found))


class _Painter:
    """Reads frames again and draws them; each once."""

    def __init__(self, inspection: Inspection, colours: dict[int, str]):
        self._inspection, self._colours = inspection, colours

    def shot(self, place: Place, why: Iterable[str] = ()) -> Shot:
        stem, k = place
        seen = self._inspection.seen[stem]
        frame, labels = frame_of(seen.pair.image, k), labels_of(seen.pair)
        title = seen.pair.image.name + (f", frame {k + 1} of {seen.shape[0]}" if seen.shape[0] > 1 else "")
        patient = self._inspection.patient_of.get(stem, stem)
        note = f"patient {patient}, {self._inspection.split_of.get(stem, 'no split')}"
        if frame is None:
            return Shot(title, note, tuple(why))
        width, height, image = grey_address(frame)
        if labels is None or k >= len(labels) or labels[k].shape != frame.shape:
            return Shot(title, note, tuple(why), width, height, image)
        told = [self._with_place(text, frame, labels[k]) for text in why]
        return Shot(title, note, tuple(told), width, height, image, contours(labels[k], self._colours))

    def thumbnail(self, path: Path, why: str) -> Shot:
        frame = frame_of(path, 0)
        return Shot(path.name, why) if frame is None else Shot(path.name, why, (), *grey_address(frame))

    def _with_place(self, text: str, frame: "np.ndarray", labels: "np.ndarray") -> str:
        """Adds where a mask would fit that lies on no dark line."""
        value = next((v for v, name in self._inspection.class_names.items() if text == f"{name} {OFF_LINE}"), None)
        found = None if value is None else better_place(frame, labels == value)
        return text if found is None else f"{text}; it would fit {in_words(found)}"
