"""How much a hospital weighs by its number of images, which it alone knows.

A count is a hospital's own word, and FedAvg's weights are these counts: who says a million is the mean. So a count is
cut at `TIMES` the median one, as sample sizes that are declared and not seen should be (Portnoy, Tirosh and Hendler,
Towards Federated Learning with Byzantine-Robust Client Weighting, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

TIMES = 2
"""The largest whole number with which one of three hospitals of equal size gets no majority by a lie: 2 of 2 + 1 + 1.

It costs a hospital with more images than twice the median the rest of its weight, not its images.
"""


def limit(counts: Mapping[str, int]) -> int:
    """The most images that count.

    The lower median: of two hospitals the smaller one's count decides, and as long as those that lie are no more than
    half, no lie lifts it above an honest hospital's count.
    """
    return TIMES * max(1, median_low(counts.values()))


def capped(counts: Mapping[str, int]) -> dict[str, float]:
    """The weight of each hospital in a mean: its number of images, from 1 to the limit; sorted by name."""
    most = limit(counts)
    return {site: float(min(max(1, counts[site]), most)) for site in sorted(counts)}


def above(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Hospitals whose weight was cut, sorted."""
    most = limit(counts)
    return tuple(site for site in sorted(counts) if counts[site] > most)
