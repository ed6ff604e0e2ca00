"""What stands out when hospitals' summaries lie beside each other: one line each, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

Summary = Mapping[str, Any]
Number = int | float
GREY_APART, FACTOR, FEW = 0.25, 2.0, 0.1
"""Greys this far from the others' median, sizes and millimetres by this factor, and this share of the others' frames,
are told."""
TO_DO = (
    "of the same pictures: before training agree which of the two keeps them, and take them out at the other, or test "
    "images of one are trained on by the other"
)


def remarks(summaries: Mapping[str, Summary], classes: Sequence[str]) -> list[dict[str, str]]:
    """What the consortium should talk about before training; `site` is empty where it is about all."""
    found = [*_stops(summaries), *_classes(summaries, classes), *_apart(summaries)]
    return [{"site": site, "text": text} for site, text in found]


def shared(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Which hospitals have the same pictures, those with the most first, and what to do about it."""
    found = sorted((one for one in pairs if one["common"]), key=lambda one: -one["common"])
    return [{"site": "", "text": f"{' and '.join(one['sites'])} both have {one['common']} {TO_DO}"} for one in found]


def labels(summary: Summary, name: str) -> bool:
    """Whether a hospital annotates a class in its training images."""
    return name in summary["corpus"]


def _stops(summaries: Mapping[str, Summary]) -> Iterator[tuple[str, str]]:
    for site, one in summaries.items():
        if not one["trains"]:
            yield site, "training would stop there: fedefm data check says why on its own screen"
        if one["unreadable"] is None or one["unreadable"] > 0:
            yield site, "some of its files cannot be read"
        if one["others"]:
            yield site, f"{one['others']} of its classes are not among those of the job"
        if one["respelled"]:
            yield site, f"{one['respelled']} of its classes are spelled otherwise than in the job; agree on one name"


def _classes(summaries: Mapping[str, Summary], classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in classes:
        hosts = [site for site, one in summaries.items() if labels(one, name)]
        if not hosts:
            yield "", f"nobody labels {name}: no model can learn it"
        elif len(hosts) == 1 and len(summaries) > 1:
            yield hosts[0], f"the only one that labels {name}: all others learn it from there alone"
        if not any(name in one["test_corpus"] for one in summaries.values()):
            yield "", f"no test image shows how well {name} is found: annotate it in some test masks"
        for site in hosts:
            told = summaries[site]["classes"].get(name, {})
            if told.get("train") == 0 and told.get("undecided") == 0:
                yield site, f"says that it labels {name}, and no training image holds it"


def _apart(summaries: Mapping[str, Summary]) -> Iterator[tuple[str, str]]:
    """Figures far from the median of the other hospitals."""
    yield from _compared(summaries, lambda one: one["grey"]["middle"], "the middle grey", _differs_by)
    yield from _compared(summaries, lambda one: one["spacing_mm"]["median"], "the millimetres a pixel", _by_factor)
    yield from _compared(summaries, _side, "the side of its images", _by_factor)
    yield from _compared(summaries, lambda one: one["frames"]["train"], "the number of training frames", _is_few)


def _compared(
    summaries: Mapping[str, Summary],
    figure: Callable[[Summary], Number | None],
    title: str,
    far: Callable[[Number, Number], bool],
) -> Iterator[tuple[str, str]]:
    known = {site: value for site, one in summaries.items() if (value := figure(one)) is not None}
    for site, value in known.items():
        others = [other for name, other in known.items() if name != site]
        if others and far(value, median(others)):
            yield site, f"{title} is {value:g}, and {median(others):g} is the median of the others"


def _side(one: Summary) -> int | None:
    """Longer side of the most frequent size."""
    return max(one["sizes"][0]["columns"], one["sizes"][0]["rows"]) if one["sizes"] else None


def _differs_by(value: Number, others: Number) -> bool:
    return abs(value - others) > GREY_APART


def _by_factor(value: Number, others: Number) -> bool:
    return min(value, others) <= 0 or max(value, others) / min(value, others) >= FACTOR


def _is_few(value: Number, others: Number) -> bool:
    return value < FEW * others
