"""The tables of the page, as Markdown, from `summary.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.fixed.definition import ABSENT
from benchmarks.fixed.settings import OURS
from benchmarks.fixed.statistics import difference, holm

BASELINES = (
    "fedefm",
    "pooled",
    "pooled_all",
    "fedavg",
    "fedavg_rate",
    "fedavg_bytes",
    "fedprox",
    "moon",
    "scaffold",
    "condist",
    "ring",
    "matcha",
    "cyclic",
    "uniform",
    "lone",
)
SHARES = ("0", "25", "50", "75", "100")
RIVALS = ("pooled", "pooled_all", "fedavg", "fedavg_rate", "fedavg_bytes", "moon", "ring", "matcha")
SCENARIOS = ("shifted", "swapped", "retina", "absent")

PRIMARY = ("fedavg", "fedavg_split_rate", "fedavg_45_rate", "turns", "pooled_updates", "pooled_updates_all")
FOLDS = "unseen devices honest"
DEVICES = (
    "at_home",
    "peers",
    "fedavg",
    "fedavg_rate",
    "condist",
    "lone",
    "pooled_updates",
    "pooled_updates_all",
)
ALL = frozenset(map(str, range(10)))
"""Folds of real devices: nothing was ever chosen by any of them."""
FRESH = frozenset(map(str, range(3, 11)))
"""Seeds that no setting was ever chosen by; claims stand on these alone."""

BySeed = Mapping[str, float]
Table = Mapping[str, Mapping[str, BySeed]]


def all_tables(summary: Mapping[str, Any]) -> str:
    """Every table that has a result, each under its heading."""
    whole, unseen, summary = summary, summary.get("unseen", {}), searched(summary)
    dice, validation = summary.get("dice", {}), summary.get("validation", {})
    named = [name for name in BASELINES if name in dice]
    parts = [
        ("Test Dice by share of unseen labels", by_share(dice, named)),
        ("FedEFM's test Dice over that of others, all labels unseen", ratios(dice)),
        ("Fresh seeds, all labels unseen", fresh(whole)),
        *(
            (
                f"Unseen classes, fresh seeds: `{ours}`, {share} % unseen",
                differences(unseen, ours, rest, share),
            )
            for share in ("100", "50")
            for ours, rest in (("fedefm", ("at_home", *PRIMARY)), ("at_home", PRIMARY))
        ),
        ("What a run costs, all labels unseen", costs(summary, named)),
        ("Our settings, by validation Dice", ablation(dice, validation)),
        ("One bad hospital, half of the labels unseen: test Dice at the others", bad_hospital(summary)),
        ("One bad hospital: FedEFM's test Dice less that of others, by seed", bad_differences(summary)),
        ("Eleven hospitals on the Gaia ring, all labels unseen", by_share(summary.get("dice gaia honest", {}))),
        ("Real images, ARCADE and CHASE_DB1", by_share(summary.get("dice real honest", {}))),
        ("Real devices: Dice of the class that a hospital never labelled", devices(whole)),
        ("Real devices: FedEFM less the others, by fold", differences(whole.get(FOLDS, {}), OURS, DEVICES, "100", ALL)),
    ]
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in parts if table)


def searched(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without fresh seeds, which stand in tables of their own: a mean over both would be neither."""
    return {
        name: {
            method: kept
            for method, shares in table.items()
            if (kept := {share: old for share, by in shares.items() if (old := _without(by, FRESH))})
        }
        for name, table in summary.items()
    }


def _without(by_seed: BySeed, seeds: frozenset[str]) -> dict[str, float]:
    return {seed: value for seed, value in by_seed.items() if seed not in seeds}


def by_share(dice: Table, methods: Sequence[str] | None = None) -> str:
    """Methods down, unseen shares across."""
    rows = sorted(dice) if methods is None else methods
    shares = [share for share in SHARES if any(share in dice[name] for name in rows)]
    cells = [[f"`{name}`", *(spread(dice[name].get(share, {})) for share in shares)] for name in rows]
    return markdown(["method", *(f"{share} % unseen" for share in shares)], cells)


def ratios(dice: Table) -> str:
    """FedEFM over each rival, from the seeds that both have."""
    ours = dice.get("fedefm", {}).get("100", {})
    rows = []
    for name in (rival for rival in RIVALS if dice.get(rival, {}).get("100")):
        theirs = dice[name]["100"]
        if both := sorted(set(ours) & set(theirs)):
            ratio = _mean([ours[seed] for seed in both]) / _mean([theirs[seed] for seed in both])
            rows.append([f"`{name}`", f"{ratio:.2f}", str(len(both))])
    return markdown(["FedEFM over", "ratio of means", "seeds"], rows)


def costs(summary: Mapping[str, Any], methods: Sequence[str]) -> str:
    """Megabytes through the server, minutes, and the Dice of each hospital's own model at home."""
    rows = []
    for name in methods:
        figures = ("megabytes", "minutes", "own")
        found = [list(summary.get(figure, {}).get(name, {}).get("100", {}).values()) for figure in figures]
        if found[0]:
            own = f"{_mean(found[2]):.3f}" if all(value is not None for value in found[2]) else "-"
            rows.append([f"`{name}`", f"{_mean(found[0]):.0f}", f"{_mean(found[1]):.1f}", own])
    return markdown(["method", "MB of weights in training", "minutes", "own models at home"], rows)


def ablation(dice: Table, validation: Table) -> str:
    """Our settings and their changes, best first on validation frames with all labels unseen."""
    names = [name for name in validation if name == "fedefm" or name not in BASELINES]
    means = {name: _mean(list(validation[name]["100"].values())) for name in names if validation[name].get("100")}
    known = sorted(means, key=lambda name: -means[name])
    rows = [
        [f"`{name}`", spread(validation[name]["100"]), spread(dice[name]["100"]), spread(dice[name].get("0", {}))]
        for name in known
    ]
    head = ["setting", "validation, 100 % unseen", "test, 100 % unseen", "test, 0 % unseen"]
    return markdown(head, rows if len(rows) > 1 else [])


def bad_hospital(summary: Mapping[str, Any]) -> str:
    """Methods down, what is wrong across."""
    return _by_scenario(summary, "method", SCENARIOS, lambda table, method: spread(_half(table, method)))


def bad_differences(summary: Mapping[str, Any]) -> str:
    """FedEFM less each other method where one hospital is bad: mean, and each of the seeds that both have."""
    bad = [name for name in SCENARIOS if name != ABSENT]
    return _by_scenario(summary, "FedEFM less", bad, _differences, without=OURS)


def _by_scenario(
    summary: Mapping[str, Any],
    head: str,
    scenarios: Sequence[str],
    cell: Callable[[Table, str], str],
    without: str = "",
) -> str:
    tables = [summary.get(f"dice four {name}", {}) for name in scenarios]
    methods = sorted({method for table in tables for method in table} - {without})
    return markdown([head, *scenarios], [[f"`{m}`", *(cell(table, m) for table in tables)] for m in methods])


def _half(table: Table, method: str) -> BySeed:
    return table.get(method, {}).get("50", {})


def _differences(table: Table, method: str) -> str:
    ours, theirs = _half(table, OURS), _half(table, method)
    found = [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs), key=int)]
    return f"{_mean(found):+.3f} ({', '.join(f'{value:+.3f}' for value in found)})" if found else ""


def fresh(summary: Mapping[str, Any]) -> str:
    """Of the planned comparisons: test Dice, that of unseen classes, and what moves, over the fresh seeds."""
    rows = []
    for name in (OURS, "at_home", *PRIMARY):
        figures = ("dice", "unseen", "megabytes")
        found = [_of(FRESH, summary.get(figure, {}).get(name, {}).get("100", {})) for figure in figures]
        if all(found) and len(found[0]) > 1:  # one seed says nothing
            dice, unseen = (spread({str(seed): value for seed, value in one.items()}) for one in found[:2])
            rows.append([f"`{name}`", dice, unseen, f"{_mean(list(found[2].values())):.0f}", str(len(found[0]))])
    return markdown(["method", "test Dice", "of unseen classes", "MB of weights in training", "seeds"], rows)


def devices(summary: Mapping[str, Any]) -> str:
    """Methods down; catheters where only vessels are labelled, vessels where only catheters are, and their mean."""
    names = ("unseen catheter devices honest", "unseen vessel devices honest", FOLDS)
    tables = [summary.get(name, {}) for name in names]
    rows = [
        [f"`{name}`", *(spread(table.get(name, {}).get("100", {})) for table in tables), str(len(folds))]
        for name in (OURS, *DEVICES)
        if (folds := tables[-1].get(name, {}).get("100", {}))
    ]
    return markdown(["method", "catheter", "vessel", "mean", "folds"], rows)


def differences(table: Table, ours: str, rivals: Sequence[str], share: str, seeds: frozenset[str] = FRESH) -> str:
    """Ours less each rival over the seeds that both have: mean with its 95 % interval, p, and Holm's p."""
    found = {}
    for name in rivals:
        pair = [_of(seeds, table.get(method, {}).get(share, {})) for method in (ours, name)]
        if (one := difference(*pair)) is not None and len(one.seeds) > 1:
            found[name] = one
    adjusted = holm({name: one.p for name, one in found.items()})
    rows = [
        [
            f"`{name}`",
            f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
            f"{one.p:.3f}",
            f"{adjusted[name]:.3f}",
            str(len(one.seeds)),
        ]
        for name, one in found.items()
    ]
    return markdown([f"`{ours}` less", "mean (95 % interval)", "p", "Holm's p", "seeds"], rows)


def _of(seeds: frozenset[str], values: BySeed) -> dict[int, float]:
    return {int(seed): value for seed, value in values.items() if seed in seeds and value is not None}


def spread(by_seed: BySeed) -> str:
    """Mean, and lowest to highest of several seeds."""
    values = list(by_seed.values())
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f} (one seed)"
    return f"{_mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; nothing without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
