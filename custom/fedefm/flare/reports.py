"""Checks the figures that a hospital sends: every byte of them is hostile until it has passed here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Stage
from fedefm.metrics.table import shares

MAX_VALUES = 20_000
MAX_TEXT = 200
MAX_DEPTH = 6
_NEEDED = {
    Stage.PREPARE: ("corpus", "images"),
    Stage.LOCAL: ("loss", "val_dice"),
    Stage.OVERSEAS: ("loss", "val_dice"),
    Stage.DISTIL: ("loss", "val_dice"),
    Stage.ASSESS: ("agreement",),
    Stage.LONE: ("scores",),
    Stage.EVALUATE: ("scores",),
    Stage.TUNE: ("loss",),
    Stage.VALIDATE: ("metrics",),
    Stage.MEASURE: ("scores",),
}
_MAPPINGS = ("images", "scores", "emd_similarity", "agreement")
_NUMBERS = ("loss", "val_dice", "rate_sum")
MAX_NUMBER = 10**12  # sums of as many as a report holds are finite


def check_report(report: Any, stage: Stage) -> dict[str, Any]:
    """Return a plain copy of a report with the figures that its stage must bring; NaN and infinity become None.

    Raises:
        ProtocolError: it is no JSON-able value, too large, or lacks a figure of its stage.
    """
    plain = plain_copy(report)
    if not isinstance(plain, dict):
        raise ProtocolError(f"{stage} report: must be an object with named figures")
    for key in _NEEDED.get(stage, ()):
        if key not in plain:
            raise ProtocolError(f"{stage} report: '{key}' is missing; both ends need the same fedefm version")
    for key in _NUMBERS:
        if key in plain and not _is_number(plain[key]):
            raise ProtocolError(f"{stage} report: '{key}' must be a number")
    for key in _MAPPINGS:
        if key in plain and not isinstance(plain[key], dict):
            raise ProtocolError(f"{stage} report: '{key}' must be an object")
    _check_scores(plain, stage)
    return plain


def plain_copy(value: Any) -> Any:
    """Copy a JSON-able value of bounded size; tuples become lists, numbers that JSON cannot hold become None.

    Raises:
        ProtocolError: another kind of value, too deep, too many values or too long a text.
    """
    left = [MAX_VALUES]

    def copy(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > MAX_DEPTH:
            raise ProtocolError(f"report: more than {MAX_VALUES} values or {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            return {_text(key): copy(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [copy(inner, depth + 1) for inner in value]
        return _leaf(value)

    return copy(value, 0)


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (int, float):
        if type(value) is float and not math.isfinite(value):
            return None
        if abs(value) > MAX_NUMBER:
            raise ProtocolError(f"report: holds a number beyond {MAX_NUMBER}")
        return value
    return _text(value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT or not value.isprintable():
        raise ProtocolError(f"report: holds a {type(value).__name__[:40]} that is no short text, number or list")
    return value


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _check_scores(report: Mapping[str, Any], stage: Stage) -> None:
    """`evaluate`, `tune`: model -> class -> metric -> number; `lone` without model. `validate`: metric -> number."""
    if stage in (Stage.EVALUATE, Stage.TUNE, Stage.LONE):
        scores = report.get("scores", {})
        for model in [scores] if stage is Stage.LONE else scores.values():
            _check_model(model, stage)
    if stage is Stage.PREPARE and not all(_is_count(value) for value in report["images"].values()):
        raise ProtocolError("prepare report: 'images' must give a count by split")
    if stage is Stage.PREPARE and not _are_texts(report.get("metrics", [])):
        raise ProtocolError("prepare report: 'metrics' must be a list of names")
    if stage is Stage.VALIDATE and not _are_numbers(report["metrics"]):
        raise ProtocolError("validate report: 'metrics' must give a number by name")
    if not _are_numbers(report.get("emd_similarity", {})):
        raise ProtocolError(f"{stage} report: an emd_similarity is no number")


def _check_model(model: Any, stage: Stage) -> None:
    """Class -> metric -> number, with shares in [0, 1] and a count of images as support."""
    if not isinstance(model, dict) or not all(isinstance(m, dict) and "support" in m for m in model.values()):
        raise ProtocolError(f"{stage} report: 'scores' must give metrics and support by class")
    for metrics in model.values():
        if not all(_is_number(value) for value in metrics.values()) or not _is_count(metrics["support"]):
            raise ProtocolError(f"{stage} report: a score is no number, or a support no count")
        if not all(0 <= metrics[name] <= 1 for name in shares() if metrics.get(name) is not None):
            raise ProtocolError(f"{stage} report: a score lies outside [0, 1]")


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(item) for item in value.values())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
