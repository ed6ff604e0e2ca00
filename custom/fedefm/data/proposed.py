"""Masks that a model proposed and a person looked at: what `dataset.json` says of each, in `proposed`."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from fedefm.errors import DataError

KEY = "proposed"
"""The field of `dataset.json`."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXTS = {
    "by": _SHA256,
    "mask": _SHA256,
    "patient": re.compile(r".+"),
    "added": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}


@dataclass(frozen=True)
class Proposed:
    """Where one mask of a silo comes from.

    Attributes:
        by: fingerprint of the weights that proposed it.
        mask: `mask_sha256` of what they proposed.
        patient: whose image it is.
        changed_pixels: how many pixels a person changed; 0 where the proposal was confirmed as it stood.
        dice: of the mask and the proposal, over the pixels of all classes together.
        added: the day on which it came into the silo, as 2026-01-31.
    """

    by: str
    mask: str
    patient: str
    changed_pixels: int
    dice: float
    added: str

    def to_json(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return asdict(self)


def read_proposed(fields: Any) -> dict[str, Proposed]:
    """The field of `dataset.json`, by the stem of the image.

    Raises:
        DataError: it is none, or a value is of another kind or out of its range.
    """
    if not isinstance(fields, Mapping):
        raise DataError(f"{KEY} must map names of images to where their masks come from")
    wanted = set(Proposed.__dataclass_fields__)
    for stem, entry in fields.items():
        if not isinstance(entry, Mapping) or set(entry) != wanted:
            raise DataError(f"{KEY}: {stem!r} needs the fields {', '.join(sorted(wanted))}")
        _check(entry)
    return {stem: Proposed(**{**entry, "dice": float(entry["dice"])}) for stem, entry in fields.items()}


def _check(entry: Mapping[str, Any]) -> None:
    """Hold what a file says against what each field may be.

    Raises:
        DataError: a value is of another kind, or out of its range.
    """
    for name, pattern in _TEXTS.items():
        if not isinstance(entry[name], str) or not pattern.fullmatch(entry[name]):
            raise DataError(f"{KEY}: {name} is not what `fedefm data add` writes there")
    if type(entry["changed_pixels"]) is not int or entry["changed_pixels"] < 0:
        raise DataError(f"{KEY}: changed_pixels must be a whole number of pixels")
    if type(entry["dice"]) not in (int, float) or not 0 <= entry["dice"] <= 1:
        raise DataError(f"{KEY}: dice must lie between 0 and 1")


def mask_sha256(labels: Integer[np.ndarray, "h w"]) -> str:
    """SHA-256 of one frame's label map: its rows and columns, then its labels, one byte each, row by row.

    A label beyond a byte, which no network proposes, counts as 255.
    """
    small = np.ascontiguousarray(labels.clip(0, 255), dtype=np.uint8)
    return hashlib.sha256(f"{small.shape[0]}x{small.shape[1]}\0".encode() + small.tobytes()).hexdigest()
