"""What a hospital's scores say over all classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Number = int | float
Scores = Mapping[str, Any]
"""`{"by_class": {class: {figure: {mean, low, high, support}, "support": n}}, "all": {...}}`, read by
`exchange/bounds.py`; classes that the hospital does not annotate are left out."""


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
