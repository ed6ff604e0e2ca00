"""What a hospital's scores may hold: read field by field, since every byte of a peer is hostile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedefm.metrics.table import of_images

PARTS = ("mean", "low", "high", "support")
AUTHORS = ("jaccard_with_background", "jaccard_without_background", "dice_over_channels", "support")

Number = int | float
Figure = dict[str, Number | None]
Scores = dict[str, Any]


def read_scores(report: Any, classes: Sequence[str]) -> Scores:
    """Scores with the known names only; whatever is no number becomes None.

    Args:
        report: what came for `scores`, such as `score_cases` gives after suppression.
        classes: of the job; classes that the hospital does not annotate are left out.

    Returns:
        `{"by_class": {class: {figure: {mean, low, high, support}, "support": n}}, "all": {...}}`.
    """
    by_class, over_all = _group(_group(report).get("by_class")), _group(_group(report).get("all"))
    return {
        "by_class": {name: _class(by_class[name]) for name in classes if name in by_class},
        "all": {
            "miou": _parts(over_all.get("miou"), PARTS),
            "ece": _parts(over_all.get("ece"), ("mean", "support")),
            "as_in_authors_code": _parts(over_all.get("as_in_authors_code"), AUTHORS),
            "support": _number(over_all.get("support")),
        },
    }


def matrix(
    scores: Mapping[str, Mapping[str, Scores]], figure: str, sites: Sequence[str]
) -> dict[str, dict[str, Number | None]]:
    """Mean of a figure over the classes that have it, for each model (rows) at each hospital."""
    return {
        model: {site: mean_over_classes(by_site[site], figure) if site in by_site else None for site in sites}
        for model, by_site in scores.items()
    }


def mean_over_classes(scores: Scores, figure: str) -> Number | None:
    """Mean over the classes where the figure is known; None where none is."""
    known = [f[figure]["mean"] for f in scores["by_class"].values() if f[figure]["mean"] is not None]
    return sum(known) / len(known) if known else None


def _class(plain: Any) -> dict[str, Any]:
    group = _group(plain)
    figures = {metric.name: _parts(group.get(metric.name), PARTS) for metric in of_images()}
    return figures | {"support": _number(group.get("support"))}


def _parts(plain: Any, names: Sequence[str]) -> Figure:
    return {name: _number(_group(plain).get(name)) for name in names}


def _group(plain: Any) -> Mapping[str, Any]:
    return plain if isinstance(plain, Mapping) else {}


def _number(value: Any) -> Number | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
