"""The named metric that chooses the best weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedefm.errors import ConfigError
from fedefm.finetune.settings import LAST
from fedefm.metrics.table import lower_is_better


@dataclass(frozen=True)
class Best:
    """The round whose weights are kept, and its value of the metric (None where nobody had one)."""

    round: int
    value: float | None


def value_of(metric: str, figures: Mapping[str, Mapping[str, float | None]]) -> float | None:
    """Mean of a metric over the hospitals that have it, sorted by name; None where none has.

    Args:
        metric: its name, or `last`.
        figures: of each hospital on its validation images.
    """
    values = [figures[site].get(metric) for site in sorted(figures)]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    return sum(known) / len(known) if known else None


def is_better(metric: str, new: float | None, best: Best | None) -> bool:
    """Whether `new` replaces `best`, by the metric's direction; `last` always takes the newer."""
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
            f"{', '.join(known) or 'nothing'}; choose one of these, or '{LAST}'"
        )
