"""From the results on disk to `summary.json`, which tables and plots are made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.fixed.definition import HONEST, Case, Definition

SUMMARY = "summary.json"
FOUR = "four"


def summarise(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean Dice and what it cost, by method and unseen share, one value a seed.

    `dice` and `validation` are those of four honest hospitals, as `dice[method][unseen share]`; other consortia and
    scenarios stand under their own names. Pooled training with all labels is that where nothing is unseen.
    """
    tables: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for result in results:
        case = Case(**result["case"])
        place = "" if (case.consortium, case.scenario) == (FOUR, HONEST) else f" {case.consortium} {case.scenario}"
        for name, value in _figures(result).items():
            tables[f"{name}{place}"][case.method][str(case.unseen)][case.seed] = value
    for name in [name for name in tables if " " not in name and "pooled" in tables[name]]:
        full = tables[name]["pooled"].get("0")
        if full:
            tables[name]["pooled_all"] = dict.fromkeys(tables[name]["pooled"], full)
    return {name: _by_seed(table) for name, table in sorted(tables.items())}


def _figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """Test and validation Dice, own models' test Dice, megabytes moved for training, minutes."""
    moved = sum(size for stage, size in result["bytes"].items() if stage in ("local", "overseas", "distil", "assess"))
    return {
        "dice": result["dice"]["test"],
        "validation": result["dice"]["validation"],
        "own": result["dice"]["own"],
        "megabytes": moved / 1e6,
        "minutes": result["seconds"]["total"] / 60,
    }


def _by_seed(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        method: {share: [values[seed] for seed in sorted(values)] for share, values in sorted(shares.items())}
        for method, shares in sorted(table.items())
    }


def summary_path(definition: Definition) -> Path:
    """Where `summary.json` lies."""
    return definition.folder / "results" / SUMMARY
