"""Curves over rounds, drawn by matplotlib without its global state; every name stays in the page's own text."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedefm.report.overlay import png_address
from fedefm.report.palette import site_strokes
from fedefm.report.scores import mean
from fedefm.report.text import Number

STAGES = ("local", "overseas", "distil")  # as a round runs them
INK = "#7a808c"  # reads on white and on near black alike: the pictures are transparent
DPI = 130
SIZE = (5.0, 2.9)  # inches
FRAME = (0.14, 0.17, 0.84, 0.79)  # left, bottom, width, height of the axes; fixed, so that panels line up

Series = Mapping[str, Sequence[tuple[int, Number]]]


@dataclass(frozen=True)
class Panel:
    """One drawn set of curves: its heading, what the picture shows in words, and the PNG address."""

    title: str
    alt: str
    picture: str


def loss_panels(history: Sequence[Mapping[str, Any]], sites: Sequence[str]) -> list[Panel]:
    """A panel per training stage that has a loss, in the order of `STAGES`, unknown stages last."""
    recorded = dict.fromkeys(stage for entry in history for stage in entry["loss"])
    stages = [stage for stage in STAGES if stage in recorded] + [stage for stage in recorded if stage not in STAGES]
    drawn = []
    for stage in stages:
        lines = series((entry["round"], entry["loss"].get(stage, {})) for entry in history)
        if lines:
            drawn.append(
                Panel(
                    f"Loss, {stage}", f"Loss of the stage {stage} by round", draw(lines, sites, "loss", _last(history))
                )
            )
    return drawn


def dice_panel(history: Sequence[Mapping[str, Any]], sites: Sequence[str]) -> Panel | None:
    """Pooled Dice of the validation images by round, a line per site; None without a value."""
    lines = series((entry["round"], entry["val_dice"]) for entry in history)
    if not lines:
        return None
    chart = draw(lines, sites, "pooled Dice", _last(history), floor=0.0)
    return Panel("Validation, pooled Dice", "Pooled Dice of the validation images by round", chart)


def reputation_panel(
    by_round: Mapping[str, Mapping[str, Number | None]], history: Sequence[Mapping[str, Any]], sites: Sequence[str]
) -> Panel | None:
    """Reputation by round, a line per silo that was compared with others; None if none was."""
    lines = series((int(number), by_round[number]) for number in sorted(by_round, key=int))
    if not lines:
        return None
    picture = draw(lines, sites, "share of its weight", _last(history), floor=0.0)
    return Panel("Reputation", "Share of its weight that each silo kept, by round", picture)


def series(entries: Iterable[tuple[int, Mapping[str, Number | None]]]) -> dict[str, list[tuple[int, Number]]]:
    """One list of (round, value) per key, without the rounds where its value is None."""
    lines: dict[str, list[tuple[int, Number]]] = {}
    for number, values in entries:
        for name, value in values.items():
            if value is not None:
                lines.setdefault(name, []).append((number, value))
    return lines


def owner(key: str, sites: Sequence[str]) -> str:
    """The site that a curve belongs to: `a` for `a`, and the visitor `a` for the expert `a@b`."""
    return key if key in sites else key.rsplit("@", 1)[0]


def owner_means(lines: Series, sites: Sequence[str]) -> dict[str, list[tuple[int, Number]]]:
    """Per owner, the mean of its curves in each round."""
    gathered: dict[str, dict[int, list[Number]]] = {}
    for key, points in lines.items():
        by_round = gathered.setdefault(owner(key, sites), {})
        for number, value in points:
            by_round.setdefault(number, []).append(value)
    return {
        name: [(number, mean(values) or 0.0) for number, values in sorted(by_round.items())]
        for name, by_round in gathered.items()
    }


def _last(history: Sequence[Mapping[str, Any]]) -> int:
    return max(entry["round"] for entry in history)


def draw(lines: Series, sites: Sequence[str], label: str, last: int, floor: Number | None = None) -> str:
    """The curves over rounds 0 to `last` as a transparent PNG: thin per key if an owner has several, bold per owner."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    figure.patch.set_alpha(0.0)
    axes = figure.add_axes(FRAME)
    means = owner_means(lines, sites)
    strokes = site_strokes(sites)
    for key, points in lines.items():
        if len(lines) > len(means):
            _line(axes, points, strokes.get(owner(key, sites)), bold=False)
    for name, points in means.items():
        _line(axes, points, strokes.get(name), bold=True)
    _dress(axes, label, last, floor)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return png_address(buffer.getvalue())


def _line(axes: Axes, points: Sequence[tuple[int, Number]], stroke: tuple[str, str] | None, bold: bool) -> None:
    colour, dash = stroke or (INK, "solid")
    style: dict[str, Any] = {"color": colour, "linestyle": dash, "solid_capstyle": "round"}
    if bold:
        style |= {"linewidth": 2.0, "marker": "o", "markersize": 4 if len(points) <= 20 else 0}
    else:
        style |= {"linewidth": 0.8, "alpha": 0.45}
    axes.plot([number for number, _ in points], [value for _, value in points], **style)


def _dress(axes: Axes, label: str, last: int, floor: Number | None) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_xlabel("round", color=INK, fontsize=9)
    axes.set_ylabel(label, color=INK, fontsize=9)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    room = 0.04 * last or 0.5  # the same rounds in every panel, also where a stage ran in one round only
    axes.set_xlim(-room, last + room)
    if floor is not None:
        axes.set_ylim(bottom=floor)
