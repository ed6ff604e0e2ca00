"""The page of a segmented run: its film with the marks over it, for the eyes of the one who had it segmented.

It works from its folder alone, without a network. Pictures of the frames lie beside it; the marks stand in the page,
as a script may not read the pixels of a file beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from fedefm.report.palette import class_colours, rgb
from fedefm.report.polyline import HEIGHT, WIDTH, Line, line
from fedefm.report.templates import environment

Point = tuple[float, float]
_MOST_THRESHOLDS, _PLAIN = 3.0, "#dddddd"


@dataclass
class FilmMarks:
    """What the page shows of each frame, gathered frame by frame; names of classes go by their order.

    Attributes:
        classes: foreground class names, in label order.
        devices: those of them that have a tip.
        runs: of `label_runs`, a text a frame.
        tips: of each device, x and y of its tip in pixels, or None.
        probabilities: of each class, the mean of what the network gave its pixels, or None where it has none.
    """

    classes: Sequence[str]
    devices: Sequence[str]
    runs: list[str] = field(default_factory=list)
    tips: dict[str, list[Point | None]] = field(default_factory=dict)
    probabilities: dict[str, list[float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tips = {name: [] for name in self.devices}
        self.probabilities = {name: [] for name in self.classes}

    def add(self, runs: str, tips: Mapping[str, Point], probabilities: Sequence[float | None]) -> None:
        """Append a frame."""
        self.runs.append(runs)
        for name, found in self.tips.items():
            found.append(tips.get(name))
        for name, probability in zip(self.classes, probabilities, strict=True):
            self.probabilities[name].append(probability)

    @property
    def empty(self) -> list[int]:
        """The frames with nothing marked, from 1."""
        return [k for k, seen in enumerate(zip(*self.probabilities.values(), strict=True), 1) if not any(seen)]


@dataclass(frozen=True)
class Film:
    """What the page tells.

    Attributes:
        marks: of the frames that it shows, the first ones of the run.
        pictures: folder and ending of their pictures, such as `("frames", "jpg")`.
        digits: of the number in a picture's name.
        left_out: sentences: what is in no mask, or was not written, and why.
        notes: sentences that stand on the top of the page.
        next_step: a sentence and a command.
        summary: of `summary.json`.
    """

    marks: FilmMarks
    pictures: tuple[str, str]
    digits: int
    left_out: Sequence[str]
    notes: Sequence[str]
    next_step: tuple[str, str]
    summary: Mapping[str, Any]


def film_page(film: Film) -> str:
    """The page as HTML."""
    marks, summary = film.marks, film.summary
    colours = class_colours(marks.classes)
    return (
        environment()
        .get_template("film.html")
        .render(
            film=film,
            summary=summary,
            shown=len(marks.runs),
            class_colours=colours,
            empty=spans(marks.empty),
            never=[name for name, count in summary["frames_with"].items() if not count],
            width=WIDTH,
            height=HEIGHT,
            across=_tip_lines(marks, colours, 0, summary["columns"]),
            down=_tip_lines(marks, colours, 1, summary["rows"]),
            sure=_probability_lines(marks, colours),
            calibrated=summary["confidence"]["calibrated"],
            strange=_strange_line(summary["unlike_training"], len(marks.runs)),
            data={
                "frames": len(marks.runs),
                "rows": summary["rows"],
                "columns": summary["columns"],
                "pictures": film.pictures,
                "digits": film.digits,
                "classes": [{"name": name, "colour": rgb(colour)} for name, colour in colours.items()],
                "runs": marks.runs,
                "tips": list(marks.tips.values()),
                "tip_classes": [list(marks.classes).index(name) + 1 for name in marks.tips],
                "probabilities": list(marks.probabilities.values()),
            },
        )
    )


def spans(numbers: Sequence[int]) -> str:
    """Numbers in order as a person writes them: `3, 7 to 12`."""
    if not numbers:
        return ""
    breaks = [k + 1 for k, (one, other) in enumerate(pairwise(numbers)) if other != one + 1]
    parts = [numbers[a:b] for a, b in pairwise([0, *breaks, len(numbers)])]
    return ", ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def _tip_lines(marks: FilmMarks, colours: Mapping[str, str], axis: int, side: int) -> list[Line]:
    """One coordinate of each device's tip; the upper edge of `down` is the upper edge of the picture."""
    low, high = (0.0, float(side)) if axis == 0 else (float(side), 0.0)
    return [
        line(name, colours[name], k, [None if tip is None else tip[axis] for tip in tips], low, high)
        for k, (name, tips) in enumerate(marks.tips.items())
        if any(tips)
    ]


def _probability_lines(marks: FilmMarks, colours: Mapping[str, str]) -> list[Line]:
    return [
        line(name, colours[name], k, values, 0.0, 1.0)
        for k, (name, values) in enumerate(marks.probabilities.items())
        if any(values)
    ]


def _strange_line(unlike: Mapping[str, Any], shown: int) -> list[Line]:
    """How far each frame is from what training knew, in thresholds; none where nobody measured it."""
    if not unlike["measured"]:
        return []
    values = [min(value, _MOST_THRESHOLDS) for value in unlike["of_threshold"][:shown]]
    return [line("this run", _PLAIN, 0, values, 0.0, _MOST_THRESHOLDS)]
