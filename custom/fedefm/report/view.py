"""A report's numbers in the order and grouping in which the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedefm.report.bars import Bar, costs
from fedefm.report.curves import Panel, dice_panel, loss_panels, reputation_panel
from fedefm.report.matrices import MatrixSeries, matrix_series
from fedefm.report.scores import Row, mean, mean_of, model_rows, theta_rows
from fedefm.report.text import Number

EMD_NOTE = "How alike the features of an expert that came home are to those of its owner; 1 is alike."
DICE_NOTE = "Pooled Dice of the expert on the validation images of its host."


@dataclass(frozen=True)
class ModelTable:
    """One hospital's own model on every hospital's test images."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Gain:
    """Pooled Dice of one class at one hospital without the federation, with it, and the difference."""

    own: bool
    mark: str
    lone: Number | None
    theta: Number | None

    @property
    def difference(self) -> Number | None:
        """What the federation adds, None if one of the two is not annotated."""
        return None if self.lone is None or self.theta is None else self.theta - self.lone

    @property
    def direction(self) -> str:
        """`plus`, `minus`, or nothing if there is no difference to the three decimals shown."""
        shown = round(self.difference or 0.0, 3)
        return "plus" if shown > 0 else "minus" if shown < 0 else ""


@dataclass(frozen=True)
class GainRow:
    """One hospital: a gain per class."""

    site: str
    classes: tuple[Gain, ...]


@dataclass(frozen=True)
class RunView:
    """One run, ready for the page; empty parts are empty tuples or None.

    `shared` tells whether the method has a global model; without one, `rows` are of every site's model at home.
    """

    source: Mapping[str, Any]
    shared: bool
    rows: tuple[Row, ...]
    class_means: tuple[tuple[Number | None, Number | None], ...]
    own: Number | None
    unseen: Number | None
    models: tuple[ModelTable, ...]
    gains: tuple[GainRow, ...]
    since_start: tuple[GainRow, ...]
    matrices: tuple[MatrixSeries, ...]
    panels: tuple[Panel, ...]
    seconds: tuple[Bar, ...]
    seconds_total: Number
    sizes: tuple[Bar, ...]
    size_total: Number
    size_least: Number | None
    planned: Mapping[str, Number] | None


def run_view(report: Mapping[str, Any], curves: bool = True) -> RunView:
    """Everything that the page shows of one run; without `curves` none are drawn, which takes most of the time."""
    rows = tuple(theta_rows(report))
    return RunView(
        source=report,
        shared=report["theta"] is not None,
        rows=rows,
        class_means=_class_means(rows),
        own=mean_of(rows, own=True),
        unseen=mean_of(rows, own=False),
        models=_models(report),
        gains=_gains(report),
        since_start=_since_start(report),
        matrices=_matrices(report),
        panels=_panels(report) if curves else (),
        **costs(report),
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `a.b.c: value`, in order; an empty mapping stays as one."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _class_means(rows: tuple[Row, ...]) -> tuple[tuple[Number | None, Number | None], ...]:
    columns = zip(*(row.cells for row in rows), strict=True)
    return tuple((mean(cell.dice for cell in column), mean(cell.iou for cell in column)) for column in columns)


def _models(report: Mapping[str, Any]) -> tuple[ModelTable, ...]:
    names = [name for name in report["dice"]["by_model"] if name not in ("theta", "start")]
    return tuple(ModelTable(name, tuple(model_rows(report, name))) for name in names)


def _gains(report: Mapping[str, Any]) -> tuple[GainRow, ...]:
    baselines = report.get("baselines", {}) if report["theta"] is not None else {}
    return tuple(_gain_row(row, baselines[row.site]) for row in theta_rows(report) if row.site in baselines)


def _since_start(report: Mapping[str, Any]) -> tuple[GainRow, ...]:
    """The Theta that the run started from in the place of the lone model; empty where it started from none."""
    start = report["dice"]["by_model"].get("start", {}) if report["theta"] is not None else {}
    return tuple(_gain_row(row, {"lone": start[row.site]}) for row in theta_rows(report) if row.site in start)


def _gain_row(row: Row, baseline: Mapping[str, Mapping[str, Number | None]]) -> GainRow:
    lone, theta = baseline["lone"], baseline.get("theta", {})
    gains = (Gain(cell.own, cell.mark, lone.get(cell.name), theta.get(cell.name, cell.dice)) for cell in row.cells)
    return GainRow(row.site, tuple(gains))


def _matrices(report: Mapping[str, Any]) -> tuple[MatrixSeries, ...]:
    made = (
        matrix_series("EMD similarity", EMD_NOTE, report["emd_similarity"], report["sites"]),
        matrix_series("Pooled Dice of the experts", DICE_NOTE, report["expert_dice"], report["sites"]),
    )
    return tuple(series for series in made if series is not None)


def _panels(report: Mapping[str, Any]) -> tuple[Panel, ...]:
    history, sites = report["history"], report["sites"]
    validation = dice_panel(history, sites)
    rated = reputation_panel(report.get("reputation", {}), history, sites)
    return (*loss_panels(history, sites), *(panel for panel in (validation, rated) if panel is not None))
