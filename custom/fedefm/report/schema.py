"""What `report.json` must hold, key by key, and the check that a report does."""

from collections.abc import Mapping
from typing import Any

from fedefm.errors import ConfigError
from fedefm.report.json_checks import (
    amount,
    count,
    integer,
    list_of,
    mapping_of,
    names,
    number,
    optional,
    plain,
    record,
    refuse,
    round_name,
    score,
    text,
)

SCHEMA = 1

_WEIGHTS = record({"path": text, "sha256": text})
_BY_CLASS = mapping_of(score)
_BY_SITE = mapping_of(_BY_CLASS)
_SCORES = record(
    {"mean": score, "by_site": _BY_SITE, "support": mapping_of(mapping_of(count)), "by_model": mapping_of(_BY_SITE)},
    {"by_method": mapping_of(score)},
)
_STAGES = mapping_of(amount)
_ROUND = record({"round": count, "loss": mapping_of(mapping_of(optional(number))), "val_dice": _BY_CLASS})
_LOSS = record({"site": text, "round": optional(count), "stage": text, "visitor": optional(text), "reason": text})
_BASELINE = record({"lone": _BY_CLASS}, {"theta": _BY_CLASS})


def _schema(value: Any, where: str) -> None:
    integer(value, where)
    if value != SCHEMA:
        raise refuse(where, f"{SCHEMA}, the only version that this package writes and reads", value)


def _seconds(value: Any, where: str) -> None:
    _STAGES(value, where)
    record({"total": amount})(value, where)


_RUN: dict[str, Any] = {
    "schema": _schema,
    "name": text,
    "method": text,
    "created": text,
    "versions": mapping_of(text),
    "seed": integer,
    "config": mapping_of(plain),
    "sites": names,
    "classes": names,
    "rounds": count,
    "corpora": mapping_of(names),
    "images": mapping_of(mapping_of(count)),
    "synthetic": names,
    "theta": optional(_WEIGHTS),
    "models": mapping_of(_WEIGHTS),
    "dice": _SCORES,
    "iou": _SCORES,
    "history": list_of(_ROUND),
    "emd_similarity": mapping_of(mapping_of(mapping_of(optional(number))), key=round_name),
    "expert_dice": mapping_of(mapping_of(mapping_of(score)), key=round_name),
    "seconds": _seconds,
    "bytes": _STAGES,
    "lost": list_of(_LOSS),
}
_REPORT = record(_RUN, {"baselines": mapping_of(_BASELINE), "reputation": mapping_of(_BY_CLASS, key=round_name)})


def validate_report(report: Mapping[str, Any]) -> None:
    """Check that `report` has the content of `report.json`, and that JSON can hold all of it.

    Args:
        report: the summary of a run, or of a comparison (then with `methods` and `dice.by_method`).

    Raises:
        ConfigError: a key is missing, or its value has the wrong type, names an unknown site or class, or is NaN or
            infinite; the message names the key.
    """
    _REPORT(report, "")
    _check_names(report)
    plain(dict(report), "report")
    if "methods" in report:
        _check_methods(report)


def _check_names(report: Mapping[str, Any]) -> None:
    sites, classes = set(report["sites"]), set(report["classes"])
    if not sites or not classes:
        raise ConfigError("report: 'sites' and 'classes' must name at least one each; fill both")
    for key in ("corpora", "images"):
        record(dict.fromkeys(report["sites"], plain))(report[key], key)
    for site, corpus in report["corpora"].items():
        _known(corpus, classes, f"corpora.{site}", "classes")
    for metric in ("dice", "iou"):
        for site, scores in report[metric]["by_site"].items():
            _known([site], sites, f"{metric}.by_site", "sites")
            _known(scores, classes, f"{metric}.by_site.{site}", "classes")


def _known(found: Any, known: set[str], where: str, source: str) -> None:
    for name in found:
        if name not in known:
            raise ConfigError(f"report: '{where}' names {name!r}, which '{source}' does not list; add it there")


def _check_methods(report: Mapping[str, Any]) -> None:
    mapping_of(validate_method)(report["methods"], "methods")
    record({"by_method": mapping_of(score)})(report["dice"], "dice")
    record(dict.fromkeys(report["methods"], score))(report["dice"]["by_method"], "dice.by_method")


def validate_method(report: Mapping[str, Any], where: str) -> None:
    """Check one method's report inside a comparison.

    Raises:
        ConfigError: as `validate_report`, the message ends with the method's place.
    """
    try:
        validate_report(report)
    except ConfigError as error:
        raise ConfigError(f"{error} (inside '{where}')") from error
