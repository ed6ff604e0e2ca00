"""What `report.json` must hold, key by key, and the check that a report does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
    with_config,
)

from fedefm.errors import ConfigError
from fedefm.report.planned import Planned
from fedefm.settings import Share, find_fault

SCHEMA = 1


def _check_distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError("must be a list of distinct names")
    return names


def _check_round(name: str) -> str:
    if not (name.isascii() and name.isdigit()):  # JSON's keys are text
        raise ValueError('must be a round number such as "0"')
    return name


def _check_schema(number: int) -> int:
    if number != SCHEMA:
        raise ValueError(f"must be {SCHEMA}, the only version that this package writes and reads, not {number}")
    return number


Names = Annotated[list[str], AfterValidator(_check_distinct)]
RoundName = Annotated[str, AfterValidator(_check_round)]
ByClass = dict[str, Share | None]  # None: the class is not annotated, or too few images hold it to tell
BySite = dict[str, ByClass]
Stages = dict[str, NonNegativeFloat]


@dataclass(frozen=True)
class _File:
    """Weights that a run left."""

    path: str
    sha256: str


@dataclass(frozen=True)
class _Scores:
    """One metric on the test images."""

    mean: Share | None
    by_site: BySite
    support: dict[str, dict[str, NonNegativeInt | None]]  # None: held back, as too few images hold the class
    by_model: dict[str, BySite]
    by_method: dict[str, Share | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Round:
    """What a round reported."""

    round: NonNegativeInt
    loss: dict[str, dict[str, float | None]]
    val_dice: ByClass


@dataclass(frozen=True)
class _Lost:
    """A task that was lost."""

    site: str
    round: NonNegativeInt | None
    stage: str
    visitor: str | None
    reason: str


@dataclass(frozen=True)
class _Baseline:
    """A lone model beside Theta at one site."""

    lone: ByClass
    theta: ByClass = field(default_factory=dict)


@with_config(ConfigDict(strict=True, allow_inf_nan=False))  # for what is nested too
@dataclass(frozen=True)
class _Report:
    """A whole `report.json`; other keys may stand beside these."""

    schema: Annotated[int, AfterValidator(_check_schema)]
    name: str
    method: str
    created: str
    versions: dict[str, str]
    seed: int
    config: dict[str, Any]
    sites: Names
    classes: Names
    rounds: NonNegativeInt
    corpora: dict[str, Names]
    images: dict[str, dict[str, NonNegativeInt | None]]  # None: held back
    synthetic: Names
    theta: _File | None
    models: dict[str, _File]
    dice: _Scores
    iou: _Scores
    history: list[_Round]
    emd_similarity: dict[RoundName, dict[str, dict[str, float | None]]]
    expert_dice: dict[RoundName, BySite]
    seconds: Stages
    bytes: Stages
    lost: list[_Lost]
    least_bytes: Stages = field(default_factory=dict)
    planned: Planned | None = None
    baselines: dict[str, _Baseline] = field(default_factory=dict)
    reputation: dict[RoundName, ByClass] = field(default_factory=dict)
    doubted: dict[RoundName, dict[str, dict[str, float]]] = field(default_factory=dict)
    capped: dict[RoundName, Names] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)


_REPORT = TypeAdapter(_Report)


def validate_report(report: Mapping[str, Any]) -> None:
    """Check that `report` has the content of `report.json`, and that JSON can hold all of it.

    Args:
        report: the summary of a run, or of a comparison (then with `methods` and `dice.by_method`).

    Raises:
        ConfigError: a key is missing, or its value has the wrong type, names an unknown site or class, or is NaN or
            infinite; the message names the key.
    """
    check_plain(report, "report")
    try:
        found = _REPORT.validate_json(json.dumps(report))
    except ValidationError as error:
        fault = find_fault(error)
        place = ".".join(map(str, fault.path)) or "report"
        raise _refuse(place.replace(".[key]", " (a key)"), fault.text) from error
    _check_names(found)
    _check_methods(found)


def check_plain(value: Any, where: str) -> None:
    """Refuse what JSON cannot hold without loss of meaning; it holds text, numbers, booleans, None, lists and mappings.

    Args:
        value: any value.
        where: the key path that leads to it.

    Raises:
        ConfigError: a value of another type, a number that is not finite or too large for a float, or a key that is no
            text; the message names the key.
    """
    if isinstance(value, dict):
        for key, element in value.items():
            if not isinstance(key, str):
                raise _refuse(f"{where} (a key)", f"must be text, not {key!r:.60}")
            check_plain(element, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, element in enumerate(value):
            check_plain(element, f"{where}.{index}")
    elif isinstance(value, int | float):
        if not abs(value) <= sys.float_info.max:  # a comparison that NaN fails too
            raise _refuse(where, "must be a finite number that a float can hold")
    elif not isinstance(value, str | None):
        raise _refuse(where, f"must be what JSON can hold, not {value!r:.60} of type {type(value).__name__}")


def _check_names(report: _Report) -> None:
    """Refuse names of sites and classes that the report does not list, and sites that it lists and says nothing of."""
    if not report.sites or not report.classes:
        raise ConfigError("report: 'sites' and 'classes' must name at least one each; fill both")
    _need(report.seconds, ["total"], "seconds")
    _need(report.corpora, report.sites, "corpora")
    _need(report.images, report.sites, "images")
    for site, corpus in report.corpora.items():
        _known(corpus, report.classes, f"corpora.{site}", "classes")
    for metric, scores in (("dice", report.dice), ("iou", report.iou)):
        _known(scores.by_site, report.sites, f"{metric}.by_site", "sites")
        for site, by_class in scores.by_site.items():
            _known(by_class, report.classes, f"{metric}.by_site.{site}", "classes")


def _check_methods(report: _Report) -> None:
    """Check each method's report inside a comparison, and that the comparison has its mean."""
    for name, run in report.methods.items():
        try:
            validate_report(run)
        except ConfigError as error:
            raise ConfigError(f"{error} (inside 'methods.{name}')") from error
    _need(report.dice.by_method, report.methods, "dice.by_method")


def _need(found: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in found:
            raise _refuse(f"{where}.{name}", "is missing")


def _known(found: Iterable[str], known: Iterable[str], where: str, source: str) -> None:
    for name in found:
        if name not in known:
            raise ConfigError(f"report: '{where}' names {name!r}, which '{source}' does not list; add it there")


def _refuse(where: str, text: str) -> ConfigError:
    return ConfigError(f"report: '{where}' {text}; correct it before the report is made")
