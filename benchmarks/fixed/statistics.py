"""What a difference between two methods is worth: paired by seed, with an interval and an exact p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Ours less theirs over the seeds that both have.

    Attributes:
        seeds: which these are.
        mean: of the differences.
        low: lower end of the 95 % interval of the mean (Student's t); minus infinity for one seed.
        high: its upper end; infinity for one seed.
        p: of the two-sided sign-flip test over all 2^n flips: exact, without any assumption but that a difference is
            as likely to be negative as positive where the methods are alike.
    """

    seeds: tuple[int, ...]
    mean: float
    low: float
    high: float
    p: float


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference | None:
    """Compare two methods by the seeds that both have; None where they share none."""
    seeds = tuple(sorted(set(ours) & set(theirs)))
    if not seeds:
        return None
    values = np.array([ours[seed] - theirs[seed] for seed in seeds])
    if len(values) == 1:
        return Difference(seeds, float(values[0]), -np.inf, np.inf, 1.0)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return Difference(
        seeds, float(values.mean()), float(values.mean() - half), float(values.mean() + half), sign_flip(values)
    )


def sign_flip(values: Sequence[float] | np.ndarray) -> float:
    """Two-sided p that the mean is 0, from all sign flips; the least possible with n values is 2^(1 - n)."""
    found = stats.permutation_test((np.asarray(values),), np.mean, permutation_type="samples", n_resamples=np.inf)
    return float(found.pvalue)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p of planned comparisons (Holm, Scandinavian Journal of Statistics, 1979)."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda key: p[key])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p}
