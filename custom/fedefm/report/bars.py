"""Horizontal bars: a label, the number as text and the length as a share of the longest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedefm.report import text
from fedefm.report.text import Number


@dataclass(frozen=True)
class Bar:
    """One bar; `percent` of the full width, from 0 to 100."""

    label: str
    written: str
    percent: Number


def stage_bars(by_stage: Mapping[str, Number], write: Callable[[Number], str]) -> list[Bar]:
    """A bar per stage, without the total; the longest fills the width."""
    stages = {stage: value for stage, value in by_stage.items() if stage != "total"}
    longest = max(stages.values(), default=0) or 1
    return [Bar(stage, write(value), round(100 * value / longest, 2)) for stage, value in stages.items()]


def method_bars(by_method: Mapping[str, Number | None]) -> list[Bar]:
    """A bar per method, best first; the full width is a pooled Dice of 1."""
    best_first = sorted(by_method.items(), key=lambda item: -1.0 if item[1] is None else item[1], reverse=True)
    return [
        Bar(name, text.NO_RESULT if value is None else text.decimals(value), round(100 * (value or 0), 2))
        for name, value in best_first
    ]


def costs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Time and data of a job by stage, and in all, as the macro `costs` shows them."""
    return {
        "seconds": tuple(stage_bars(record["seconds"], text.seconds)),
        "seconds_total": total(record["seconds"]),
        "sizes": tuple(stage_bars(record["bytes"], text.data_size)),
        "size_total": total(record["bytes"]),
        "size_least": least(record),
        "planned": record.get("planned"),
    }


def least(report: Mapping[str, Any]) -> Number | None:
    """The fewest bytes that a job could have moved; None in a report of before they were counted."""
    return total(report["least_bytes"]) if report.get("least_bytes") else None


def total(by_stage: Mapping[str, Number]) -> Number:
    """The entry `total`, or the sum over the stages."""
    return by_stage["total"] if "total" in by_stage else sum(by_stage.values())
