"""Write the figures of `few_shot.py` into docs/few-shot.md, between its marks, and draw the plot beside it.

python benchmarks/few_shot_page.py [--page docs/few-shot.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from few_shot import PLAN, STARTS, Point, chosen, read_results
from matplotlib.figure import Figure

BEGIN, END = "<!-- made by benchmarks/few_shot_page.py: begin -->", "<!-- made by benchmarks/few_shot_page.py: end -->"
PLOT = Path("images") / "few_shot.png"
NAMES = {"fedefm": "Theta of FedEFM", "fedavg": "Theta of FedAvg", "scratch": "from scratch"}


def values(results: dict[str, Any], start: str, share: float, when: str = "test") -> list[float]:
    """Mean Dice over the classes, one a seed, of the points that have run."""
    settings = chosen(results, start)
    keys = [Point(start, seed, share, *settings).key for seed in PLAN["seeds"]] if settings else []
    found = [results["runs"][key][when] for key in keys if key in results["runs"]]
    return [sum(by_class.values()) / len(by_class) for by_class in found]


def by_class(results: dict[str, Any], start: str, share: float) -> dict[str, float]:
    """Test Dice of each class, mean over the seeds."""
    settings = chosen(results, start)
    keys = [Point(start, seed, share, *settings).key for seed in PLAN["seeds"]] if settings else []
    found = [results["runs"][key]["test"] for key in keys if key in results["runs"]]
    return {name: sum(run[name] for run in found) / len(found) for name in found[0]} if found else {}


def mean(numbers: list[float]) -> float | None:
    """Mean, or None."""
    return sum(numbers) / len(numbers) if numbers else None


def spread(numbers: list[float]) -> str:
    """Mean, and lowest to highest; how many seeds where they are not all there."""
    if not numbers:
        return "not run"
    few = "" if len(numbers) == len(PLAN["seeds"]) else f", {len(numbers)} of {len(PLAN['seeds'])} seeds"
    return f"{mean(numbers):.3f} ({min(numbers):.3f} to {max(numbers):.3f}{few})"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


def curve_table(results: dict[str, Any]) -> str:
    """Test Dice by start and share of labels; first what the weights give untouched."""
    head = ["labels", *(NAMES[start] for start in STARTS), "FedEFM over scratch", "FedEFM over FedAvg"]
    whole = PLAN["shares"][-1]
    rows = [["none", *(spread(values(results, start, whole, "before")) for start in STARTS), "", ""]]
    for share in PLAN["shares"]:
        means = {start: mean(values(results, start, share)) for start in STARTS}
        cells = [spread(values(results, start, share)) for start in STARTS]
        rows.append(
            [f"{share:.0%}", *cells, ratio(means["fedefm"], means["scratch"]), ratio(means["fedefm"], means["fedavg"])]
        )
    return markdown(head, rows)


def ratio(above: float | None, below: float | None) -> str:
    """One mean over another."""
    return f"{above / below:.2f}" if above is not None and below else ""


def class_table(results: dict[str, Any]) -> str:
    """Test Dice by class at the share of the search."""
    share = PLAN["search"]["share"]
    found = {start: by_class(results, start, share) for start in STARTS}
    names = next((list(f) for f in found.values() if f), [])
    rows = [[NAMES[s], *(f"{found[s][n]:.3f}" if found[s] else "not run" for n in names)] for s in STARTS]
    return markdown([f"{share:.0%} of the labels", *names], rows)


def settings_table(results: dict[str, Any]) -> str:
    """Mean validation Dice of every searched setting; the chosen one in bold."""
    search = PLAN["search"]
    rows = []
    for rate in search["learning_rate"]:
        for decay in search["decay"]:
            cells = []
            for start in STARTS:
                keys = [Point(start, seed, search["share"], rate, decay).key for seed in PLAN["seeds"]]
                found = [results["runs"][key]["validation"] for key in keys if key in results["runs"]]
                text = f"{mean(found):.3f}" if len(found) == len(keys) else f"{len(found)} of {len(keys)} run"
                cells.append(f"**{text}**" if chosen(results, start) == (rate, decay) else text)
            rows.append([f"{rate:g}", f"{decay:g}", *cells])
    return markdown(["learning rate", "decay a part", *(NAMES[start] for start in STARTS)], rows)


def verdict(results: dict[str, Any]) -> str:
    """What the bar asks, and what came out."""
    share = PLAN["search"]["share"]
    ours, other, scratch = (mean(values(results, start, share)) for start in ("fedefm", "fedavg", "scratch"))
    if ours is None or other is None or scratch is None:
        return "The runs are not complete."
    bars = [
        (f"at least 1.3 times the Dice of training from scratch: {ours / scratch:.2f} times", ours >= 1.3 * scratch),
        (f"more than from FedAvg's Theta: {ours:.3f} against {other:.3f}", ours > other),
    ]
    lines = [f"- {text} – {'met' if met else '**not met**'}" for text, met in bars]
    return f"With {share:.0%} of the labels, fine-tuning from FedEFM's Theta was to give\n" + "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    """Write a PNG: a line a start through its means, bars from the lowest to the highest seed."""
    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, start in enumerate(STARTS):
        shares = [share for share in PLAN["shares"] if values(results, start, share)]
        found = [values(results, start, share) for share in shares]
        means = [sum(v) / len(v) for v in found]
        bars = [
            [m - min(v) for m, v in zip(means, found, strict=True)],
            [max(v) - m for m, v in zip(means, found, strict=True)],
        ]
        if shares:
            axes.errorbar(
                [100 * s for s in shares],
                means,
                yerr=bars,
                label=NAMES[start],
                color=f"C{number}",
                marker="o",
                capsize=3,
            )
    axes.set_xscale("log")
    axes.set_xticks([100 * s for s in PLAN["shares"]], [f"{s:.0%}" for s in PLAN["shares"]])
    axes.minorticks_off()
    axes.set_xlabel("share of the hospital's labelled patients")
    axes.set_ylabel("mean test Dice (synthetic)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def tables(results: dict[str, Any]) -> str:
    """All that stands between the marks."""
    return "\n\n".join(
        [
            f"![Test Dice against the share of labels, synthetic]({PLOT.as_posix()})",
            verdict(results),
            f"### Test Dice, mean over {len(PLAN['seeds'])} seeds (lowest to highest)",
            curve_table(results),
            "### By class",
            class_table(results),
            "### The search, by validation Dice",
            settings_table(results),
        ]
    )


def main() -> None:
    """Renew the page and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=Path("docs/few-shot.md"))
    page = parser.parse_args().page
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    results = read_results()
    plot(results, page.parent / PLOT)
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(f"{before}{BEGIN}\n{tables(results)}\n{END}{after}")
    partial.replace(page)
    print(page)


if __name__ == "__main__":
    main()
