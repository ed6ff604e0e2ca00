"""Labelled shapes of an annotation file to one label map."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt16

from fedefm.data.readers import check_declared
from fedefm.errors import ConfigError, DataError

Shape = tuple[str, Bool[np.ndarray, "h w"]]
"""A label and its pixels."""

EMPTY_SHAPE = "shape that covers the centre of no pixel; it marks nothing"
NO_SHAPE = "frame without any shape, taken as annotated and empty"
UNDRAWN = "frame left out: it has a box, point or ellipse, which says where a device is but not which pixels it has"


class NoOutlineError(DataError):
    """A shape of a frame says where something is, but not which pixels it has."""


def paint(
    size: tuple[int, int], shapes: Iterable[Shape], number: dict[str, int], remarks: Counter[str]
) -> UInt16[np.ndarray, "h w"]:
    """Draw shapes one after the other; where two overlap the later one stays.

    Args:
        size: rows and columns.
        shapes: label and pixels.
        number: label to mask value; 0 draws nothing.
        remarks: gets counts of what marks nothing.
    """
    labels, empty = np.zeros(size, np.uint16), True
    for label, region in shapes:
        empty = False
        if not region.any():
            remarks[EMPTY_SHAPE] += 1
        if number[label]:
            labels[region] = number[label]
    if empty:
        remarks[NO_SHAPE] += 1
    return labels


def corners(values: Any, least: int, where: str) -> Float[np.ndarray, "n 2"]:
    """A list of x and y as points.

    Args:
        values: `[x, y, x, y ...]` or `[[x, y] ...]`.
        least: how many points there must be.
        where: file and shape, for the message.

    Raises:
        DataError: too few, an odd number, or something that is no number.
    """
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its points are not pairs of numbers; export it again") from error
    if points.ndim == 1 and points.size % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < 1e6).all():
        raise DataError(f"{where}: its points are not pairs of numbers; export it again")
    if len(points) < least:
        raise DataError(f"{where}: has {len(points)} points where {least} are needed; correct or remove the shape")
    return points


def picture_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Rows and columns that an annotation file states.

    Raises:
        DataError: they are no whole numbers, or absurd.
    """
    try:
        rows, columns = int(height), int(width)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: height and width are missing or no whole numbers; export it again") from error
    check_declared(where, (1, rows, columns))
    return rows, columns


def check_width(width: float | None, where: str, labels: Sequence[str]) -> float:
    """The width of lines, which annotation files do not have.

    Raises:
        ConfigError: nobody stated it.
    """
    if width is None:
        raise ConfigError(f"{where}: {', '.join(labels)} is drawn as a line without a width; add --width 3, in pixels")
    return width
