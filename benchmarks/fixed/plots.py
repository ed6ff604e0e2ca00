"""The plot of the page: test Dice against the share of unseen labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from benchmarks.fixed.tables import BASELINES
from matplotlib.figure import Figure

STRONG = ("fedefm", "fedavg", "pooled")


def plot_shares(dice: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Write a PNG: a line a method through its means, bars from the lowest to the highest seed."""
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, method in enumerate(name for name in BASELINES if name in dice):
        shares = sorted(dice[method], key=int)
        x = [int(share) for share in shares]
        seeds = [list(dice[method][share].values()) for share in shares]
        means = [sum(values) / len(values) for values in seeds]
        low = [mean - min(values) for mean, values in zip(means, seeds, strict=True)]
        high = [max(values) - mean for mean, values in zip(means, seeds, strict=True)]
        strong = method in STRONG
        axes.errorbar(
            x,
            means,
            yerr=[low, high],
            label=method,
            color=f"C{number % 10}",
            linestyle="-" if number < 10 else "--",
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=2.2 if strong else 1.0,
            alpha=1.0 if strong else 0.7,
        )
    axes.set_xlabel("share of others' classes that hospitals do not label, %")
    axes.set_ylabel("mean test Dice (synthetic)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
