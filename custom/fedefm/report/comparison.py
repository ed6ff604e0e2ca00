"""What several methods reached on the same data, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedefm.report import text
from fedefm.report.bars import least, total
from fedefm.report.scores import Cell, mean_of, theta_rows
from fedefm.report.text import Number


@dataclass(frozen=True)
class MethodSummary:
    """One method in one line: its scores and what they cost."""

    name: str
    dice: Number | None
    iou: Number | None
    own: Number | None
    unseen: Number | None
    seconds: Number
    size: Number
    least: Number | None
    lost: int


@dataclass(frozen=True)
class ComparedClass:
    """One class at one site: a cell per method, and the best of their pooled Dice as written."""

    site: str
    name: str
    mark: str
    cells: tuple[Cell, ...]
    best: str | None

    def is_best(self, cell: Cell) -> bool:
        """Whether no method's pooled Dice is higher, to the three decimals shown."""
        return self.best is not None and cell.written("dice") == self.best


def summaries(report: Mapping[str, Any]) -> list[MethodSummary]:
    """A line per method of `methods`, in that order; the mean pooled Dice is that of `dice.by_method`."""
    return [_summary(name, report["dice"]["by_method"][name], run) for name, run in report["methods"].items()]


def _summary(name: str, dice: Number | None, run: Mapping[str, Any]) -> MethodSummary:
    rows = theta_rows(run)
    own, unseen = mean_of(rows, own=True), mean_of(rows, own=False)
    cost = total(run["seconds"]), total(run["bytes"]), least(run)
    return MethodSummary(name, dice, run["iou"]["mean"], own, unseen, *cost, len(run["lost"]))


def compared(report: Mapping[str, Any]) -> list[ComparedClass]:
    """A line per site and class, over the sites and classes of `report`; cells in the order of `methods`."""
    tables = [_by_site_and_class(run) for run in report["methods"].values()]
    lines = []
    for site in report["sites"]:
        for name in report["classes"]:
            own = name in report["corpora"][site]
            absent = Cell(name, own, False, None, None, None)
            lines.append(_line(site, tuple(table.get((site, name), absent) for table in tables), absent))
    return lines


def _by_site_and_class(run: Mapping[str, Any]) -> dict[tuple[str, str], Cell]:
    return {(row.site, cell.name): cell for row in theta_rows(run) for cell in row.cells}


def _line(site: str, cells: tuple[Cell, ...], absent: Cell) -> ComparedClass:
    best = max((cell.dice for cell in cells if cell.dice is not None), default=None)
    return ComparedClass(site, absent.name, absent.mark, cells, None if best is None else text.score(best))
