"""The named metric that chooses the best weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from fedefm.errors import ConfigError
from fedefm.finetune.settings import LAST
from fedefm.metrics.table import lower_is_better

Figures = Mapping[str, Mapping[str, float | None]]
"""Of each hospital on its validation images, by metric. Each lies in its metric's range (`exchange/bounds.py`)."""


@dataclass(frozen=True)
class Best:
    """The round whose weights are kept, and its value of the metric (None where nobody had one)."""

    round: int
    value: float | None


def value_of(metric: str, figures: Figures) -> float | None:
    """Median of a metric over the hospitals that have it; None where none has."""
    known = _known(metric, figures)
    return median(known.values()) if known else None


def replaces(metric: str, new: Figures, old: Figures) -> bool:
    """Whether a round replaces the best one so far: the median hospital does better by it.

    Each hospital is compared with itself, so that one with easy images counts no more than one with hard ones. Where
    there are three hospitals or more, one that lies cannot turn what all others say; of two, each has half a say, as in
    a mean. A hospital that has a value in one of the rounds only has no say. `last` always takes the newer.
    """
    if metric == LAST:
        return True
    before, after = _known(metric, old), _known(metric, new)
    if not before:
        return True
    gains = [after[site] - before[site] for site in sorted(before) if site in after]
    gain = median(gains) if gains else 0.0
    return gain < 0 if lower_is_better(metric) else gain > 0


def is_better(metric: str, new: float | None, best: Best | None) -> bool:
    """Whether a hospital that tunes alone replaces `best`, by the metric's direction; `last` always takes the newer."""
    old = None if best is None else best.value
    if metric == LAST or old is None:
        return True
    if new is None:
        return False
    return new < old if lower_is_better(metric) else new > old


def check_reported(metric: str, reported: Mapping[str, Iterable[str]]) -> None:
    """Refuse a metric that no hospital reports, before the first gradient step.

    Raises:
        ConfigError: no hospital reports it; the message says what they report.
    """
    known = sorted({name for names in reported.values() for name in names})
    if metric != LAST and metric not in known:
        raise ConfigError(
            f"metric '{metric}' is never reported: the hospitals' validation images give "
            f"{', '.join(known) or 'nothing (fewer of them than a hospital tells figures of)'}; "
            f"choose one of these, or '{LAST}'"
        )


def _known(metric: str, figures: Figures) -> dict[str, float]:
    found = {site: figures[site].get(metric) for site in sorted(figures)}
    return {site: float(value) for site, value in found.items() if value is not None}
