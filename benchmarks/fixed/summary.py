"""From the results on disk to `summary.json`, which tables and plots are made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fixed.definition import HONEST, Case, Definition

from fedefm.exchange.record import mean

SUMMARY = "summary.json"
FOUR = "four"
DEVICES = "devices"
UNSEEN = "unseen"
POOLED = ("pooled", "pooled_updates")


def summarise(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean Dice and what it cost, by method, unseen share and seed: results are paired by the seed's number.

    `unseen` is the Dice of classes that a hospital never labelled, the primary endpoint. `dice`, `unseen` and
    `validation` are those of four honest hospitals, as `dice[method][unseen share][seed]`; other consortia and
    scenarios stand under their own names. Pooled training with all labels is that where nothing is unseen.
    """
    results = list(results)
    tables: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for result in results:
        case = Case(**result["case"])
        place = _place(case.consortium, case.scenario)
        for name, value in _figures(result).items():
            tables[f"{name}{place}"][case.method][str(case.unseen)][case.seed] = value
        for name in result["config"]["classes"] if case.consortium == DEVICES else ():
            value = unseen_dice(result, only=name)
            tables[f"{UNSEEN} {name}{place}"][case.method][str(case.unseen)][case.seed] = value
    for name in [name for name in tables if " " not in name and name != UNSEEN]:
        for method in POOLED:
            if full := tables[name].get(method, {}).get("0"):
                tables[name][f"{method}_all"] = dict.fromkeys(tables[name][method], full)
    for consortium, classes in ((FOUR, (None,)), (DEVICES, (None, *_classes(results, DEVICES)))):
        for only in classes:
            name = f"{UNSEEN}{'' if only is None else f' {only}'}{_place(consortium)}"
            if name in tables:
                tables[name].update(_pooled_unseen(results, consortium, only))
    return {name: _by_seed(table) for name, table in sorted(tables.items())}


def _figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """Test Dice of all and of unseen classes, validation Dice, own models' test Dice, megabytes, minutes."""
    moved = sum(size for stage, size in result["bytes"].items() if stage in ("local", "overseas", "distil", "assess"))
    return {
        "dice": result["dice"]["test"],
        UNSEEN: unseen_dice(result),
        "validation": result["dice"]["validation"],
        "own": result["dice"]["own"],
        "megabytes": moved / 1e6,
        "minutes": result["seconds"]["total"] / 60,
    }


def _place(consortium: str, scenario: str = HONEST) -> str:
    """What the names of a table's figures end in; nothing for the four honest hospitals."""
    return "" if (consortium, scenario) == (FOUR, HONEST) else f" {consortium} {scenario}"


def _classes(results: Iterable[Mapping[str, Any]], consortium: str) -> list[str]:
    """The classes of a consortium's runs, sorted."""
    found = (result["config"]["classes"] for result in results if result["case"]["consortium"] == consortium)
    return sorted({name for classes in found for name in classes})


def _pooled_unseen(results: Sequence[Mapping[str, Any]], consortium: str, only: str | None) -> dict[str, Any]:
    """Pooled training with all labels, on the pairs of hospital and class that are unseen to the others' runs."""
    table: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
    cases = [(Case(**result["case"]), result) for result in results]
    honest = [(case, result) for case, result in cases if (case.consortium, case.scenario) == (consortium, HONEST)]
    corpora = {(case.unseen, case.seed): result["corpora"] for case, result in honest}
    for case, result in honest:
        if case.method in POOLED and case.unseen == 0:
            for unseen, seed in corpora:
                if seed == case.seed and unseen:
                    value = unseen_dice(result, corpora[unseen, seed], only)
                    table[f"{case.method}_all"][str(unseen)][seed] = value
    return table


def unseen_dice(
    result: Mapping[str, Any], corpora: Mapping[str, Any] | None = None, only: str | None = None
) -> float | None:
    """Mean test Dice over the pairs of a hospital and a class that it does not label; None where there is none.

    Args:
        result: of a run.
        corpora: label corpus by hospital that tells which pairs these are; by default the run's own.
        only: of this class alone; by default of all.
    """
    dice, corpora = result["dice"].get("by_site", {}), corpora or result["corpora"]
    return mean(
        value
        for site in sorted(dice)
        for name, value in sorted(dice[site].items())
        if name not in corpora[site] and only in (None, name)
    )


def _by_seed(table: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted, and with seeds as the text that JSON makes of a number."""
    return {
        method: {
            share: {str(seed): values[seed] for seed in sorted(values)} for share, values in sorted(shares.items())
        }
        for method, shares in sorted(table.items())
    }


def summary_path(definition: Definition) -> Path:
    """Where `summary.json` lies."""
    return definition.folder / "results" / SUMMARY
