"""Pooled Dice and pooled IoU of a report as rows of cells, each marked by whether the hospital labels that class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedefm.report import text
from fedefm.report.text import Number

OWN = "●"
UNSEEN = "○"


@dataclass(frozen=True)
class Cell:
    """One class at one site.

    Attributes:
        name: the class.
        own: whether the site's own label corpus holds the class; otherwise it was learned without a label there.
        measured: whether the report holds a value for it, be it None for "not annotated".
        dice: pooled Dice, None if the class is not annotated in the site's test images.
        iou: pooled IoU, likewise.
        support: number of the site's test images that hold the class, None if not reported.
        held_back: whether the hospital keeps the scores to itself, since too few images hold the class.
    """

    name: str
    own: bool
    measured: bool
    dice: Number | None
    iou: Number | None
    support: int | None
    held_back: bool = False

    @property
    def mark(self) -> str:
        """`●` for a class of the own label corpus, `○` for one learned without a label."""
        return OWN if self.own else UNSEEN

    def written(self, metric: str) -> str:
        """`dice` or `iou` as text; says so if the class is not labelled, held back, or the site has no result."""
        if self.held_back:
            return text.HELD_BACK
        return text.score(getattr(self, metric)) if self.measured else text.NO_RESULT


@dataclass(frozen=True)
class Row:
    """One site: a cell per class, and the number of its test images."""

    site: str
    cells: tuple[Cell, ...]
    images: int | None

    def mean(self, metric: str) -> Number | None:
        """Mean of `dice` or `iou` over the classes annotated at the site, None if there is none."""
        return mean(getattr(cell, metric) for cell in self.cells)


def mean(values: Iterable[Number | None]) -> Number | None:
    """Mean of the values that are not None; None if there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def theta_rows(report: Mapping[str, Any]) -> list[Row]:
    """The scores of the global model, a row per site in the order of `sites`.

    A method without a global model (`theta` is None) has each site's own model on the site's own images instead.
    """
    dice, iou = (_at_home(report, metric) for metric in ("dice", "iou"))
    return [
        _row(report, site, dice.get(site, {}), iou.get(site, {}), report["corpora"][site]) for site in report["sites"]
    ]


def _at_home(report: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    if report["theta"] is not None:
        return report[metric]["by_site"]
    by_model = report[metric]["by_model"]
    return {site: by_model[site][site] for site in report["sites"] if site in by_model.get(site, {})}


def model_rows(report: Mapping[str, Any], model: str) -> list[Row]:
    """The scores of one hospital's model on every site's images; `own` is by that hospital's label corpus."""
    dice = report["dice"]["by_model"].get(model, {})
    iou = report["iou"]["by_model"].get(model, {})
    corpus = report["corpora"].get(model, ())
    return [_row(report, site, dice.get(site, {}), iou.get(site, {}), corpus) for site in report["sites"]]


def _row(report: Mapping[str, Any], site: str, dice: Mapping[str, Any], iou: Mapping[str, Any], corpus: Any) -> Row:
    support = report["dice"]["support"].get(site, {})
    cells = tuple(
        Cell(
            name,
            name in corpus,
            name in dice,
            dice.get(name),
            iou.get(name),
            support.get(name),
            held_back=name in dice and name in support and support[name] is None,
        )
        for name in report["classes"]
    )
    return Row(site, cells, report["images"].get(site, {}).get("test"))


def mean_of(rows: Iterable[Row], own: bool) -> Number | None:
    """Mean pooled Dice over the cells whose class the own label corpus holds (`own`), or over the others."""
    return mean(cell.dice for row in rows for cell in row.cells if cell.own is own)
