"""Write the figures of `few_shot.py` into docs/few-shot.md, between its marks, and draw the plot beside it.

python benchmarks/few_shot_page.py [--page docs/few-shot.md]
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from few_shot import PLAN, SCRATCH, STARTS, Point, chosen, read_results, search_points
from matplotlib.figure import Figure

from fedefm.files import write_whole

BEGIN, END = "<!-- made by benchmarks/few_shot_page.py: begin -->", "<!-- made by benchmarks/few_shot_page.py: end -->"
PLOT = Path("images") / "few_shot.png"
NAMES = {"fedefm": "Theta of FedEFM", "fedavg": "Theta of FedAvg", "scratch": "from scratch"}
HEAD = [*NAMES.values(), "FedEFM over scratch", "FedEFM over FedAvg"]


LAST, SHARE = PLAN["steps"][-1], PLAN["search"]["share"]


def runs(results: dict[str, Any], start: str, steps: int, share: float) -> list[dict[str, Any]]:
    """The runs of a start at its chosen settings, one a seed."""
    settings = chosen(results, start, steps)
    keys = [Point(start, seed, steps, share, *settings).key for seed in PLAN["seeds"]] if settings else []
    return [results["runs"][key] for key in keys if key in results["runs"]]


def values(results: dict[str, Any], start: str, steps: int, share: float, when: str = "test") -> list[float]:
    """Mean Dice over the classes, one a seed."""
    return [sum(run[when].values()) / len(run[when]) for run in runs(results, start, steps, share)]


def by_class(results: dict[str, Any], start: str) -> dict[str, float]:
    """Test Dice of each class at the share of the search, mean over the seeds."""
    found = [run["test"] for run in runs(results, start, LAST, SHARE)]
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


def share_table(results: dict[str, Any]) -> str:
    """Test Dice by start and share of labels; first what the weights give untouched."""
    rows = [["none", *(spread(values(results, s, LAST, PLAN["shares"][-1], "before")) for s in STARTS), "", ""]]
    rows += [[f"{share:.0%}", *cells(results, LAST, share)] for share in PLAN["shares"]]
    return markdown(["labels", *HEAD], rows)


def steps_table(results: dict[str, Any]) -> str:
    """Test Dice by start and number of gradient steps, at the share of the search."""
    return markdown(["steps", *HEAD], [[str(steps), *cells(results, steps, SHARE)] for steps in PLAN["steps"]])


def cells(results: dict[str, Any], steps: int, share: float) -> list[str]:
    """One line of either: every start, and FedEFM over the others."""
    found = {start: values(results, start, steps, share) for start in STARTS}
    ratios = [ratio(mean(found["fedefm"]), mean(found[other])) for other in ("scratch", "fedavg")]
    return [*(spread(found[start]) for start in STARTS), *ratios]


def ratio(above: float | None, below: float | None) -> str:
    """One mean over another."""
    return f"{above / below:.2f}" if above is not None and below else ""


def class_table(results: dict[str, Any]) -> str:
    """Test Dice by class at the share of the search."""
    found = {start: by_class(results, start) for start in STARTS}
    names = next((list(f) for f in found.values() if f), [])
    rows = [[NAMES[s], *(f"{found[s][n]:.3f}" if found[s] else "not run" for n in names)] for s in STARTS]
    return markdown([f"{SHARE:.0%} of the labels, {LAST} steps", *names], rows)


def settings_table(results: dict[str, Any]) -> str:
    """Mean validation Dice of every searched setting; the chosen one in bold."""
    search = PLAN["search"]
    rows = []
    for steps, rate, decay in product(PLAN["steps"], search["learning_rate"], search["decay"]):
        texts = [_searched(results, start, steps, rate, decay) for start in STARTS]
        rows.append([str(steps), f"{rate:g}", f"{decay:g}", *texts])
    return markdown(["steps", "learning rate", "decay a part", *(NAMES[start] for start in STARTS)], rows)


def _searched(results: dict[str, Any], start: str, steps: int, rate: float, decay: float) -> str:
    keys = [p.key for p in search_points(start, steps) if (p.learning_rate, p.decay) == (rate, decay)]
    found = [results["runs"][key]["validation"] for key in keys if key in results["runs"]]
    if len(found) < len(keys):
        return "not run"
    return f"**{mean(found):.3f}**" if chosen(results, start, steps) == (rate, decay) else f"{mean(found):.3f}"


def verdict(results: dict[str, Any]) -> str:
    """What the bar asks at each number of steps, and what came out."""
    lines = []
    for steps in reversed(PLAN["steps"]):
        ours, other, scratch = (mean(values(results, s, steps, SHARE)) for s in ("fedefm", "fedavg", SCRATCH))
        if ours is None or other is None or scratch is None:
            lines.append(f"- {steps} steps: not run")
            continue
        times = f"{ours / scratch:.2f} times scratch ({_met(ours >= 1.3 * scratch)})"
        lines.append(f"- {steps} steps: {times}, {ours:.3f} against {other:.3f} from FedAvg ({_met(ours > other)})")
    asked = "at least 1.3 times the Dice of training from scratch, and more than from FedAvg's Theta"
    return f"The bar: with {SHARE:.0%} of the labels, from FedEFM's Theta {asked}.\n\n" + "\n".join(lines)


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def plot(results: dict[str, Any], path: Path) -> None:
    """Write a PNG of two panels: Dice over the share of labels, and over the gradient steps."""
    figure = Figure(figsize=(10, 4.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for number, start in enumerate(STARTS):
        by_share = {100 * share: values(results, start, LAST, share) for share in PLAN["shares"]}
        by_steps = {steps: values(results, start, steps, SHARE) for steps in PLAN["steps"]}
        _line(left, by_share, NAMES[start], f"C{number}")
        _line(right, by_steps, NAMES[start], f"C{number}")
    _label(left, f"share of the hospital's labelled patients, {LAST} steps", [100 * s for s in PLAN["shares"]], "{:g}%")
    _label(right, f"gradient steps, {SHARE:.0%} of the labels", PLAN["steps"], "{:g}")
    left.set_ylabel("mean test Dice (synthetic)")
    left.set_ylim(bottom=0)
    right.legend(loc="lower right")  # whose runs come first
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _line(axes: Any, found: dict[float, list[float]], name: str, colour: str) -> None:
    """Through the means, with bars from the lowest to the highest seed."""
    points = [(x, sum(v) / len(v), min(v), max(v)) for x, v in found.items() if v]
    if points:
        x, middle, low, high = (list(column) for column in zip(*points, strict=True))
        bars = [[m - a for m, a in zip(middle, low, strict=True)], [b - m for m, b in zip(middle, high, strict=True)]]
        axes.errorbar(x, middle, yerr=bars, label=name, color=colour, marker="o", capsize=3)


def _label(axes: Any, text: str, ticks: list[float], style: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ticks, [style.format(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(text)
    axes.grid(alpha=0.3)


def tables(results: dict[str, Any]) -> str:
    """All that stands between the marks."""
    return "\n\n".join(
        [
            f"![Test Dice against the share of labels, synthetic]({PLOT.as_posix()})",
            verdict(results),
            f"### Test Dice by share of labels, {LAST} steps: mean over {len(PLAN['seeds'])} seeds (lowest to highest)",
            share_table(results),
            f"### Test Dice by gradient steps, {SHARE:.0%} of the labels",
            steps_table(results),
            "### By class",
            class_table(results),
            f"### The search, by validation Dice at {SHARE:.0%} of the labels",
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
    write_whole(page, f"{before}{BEGIN}\n{tables(results)}\n{END}{after}")
    print(page)


if __name__ == "__main__":
    main()
