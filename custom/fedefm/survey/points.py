"""Points of a private count as tensors, the one thing besides figures that messages carry; and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Assignment, Result, Stage
from fedefm.models.build import Weights
from fedefm.training.ops import TensorOps
from fedefm.trust.private_count import Rows

POINT = 32
"""Bytes of one."""
MOST_POINTS = 64
"""Of one image: 8 of each of 8 frames."""
MOST_BYTES = 64_000_000
"""Of all images of a hospital: 250,000 single frames, or 31,000 cines."""
MOST_LEAST = 10**6

OFFERED, ANSWER = "offered", "answer"
MINE, THEIRS, LEAST = "mine", "theirs", "least"
"""Of an answer: what was offered under both secrets, the other's own, and the least that it lets be told."""


def as_tensor(rows: Rows) -> Tensor:
    """Rows of points of one length, as bytes of shape (rows, points, 32).

    Raises:
        ProtocolError: they are more than may be sent.
    """
    if sum(map(len, rows)) * POINT > MOST_BYTES:
        raise ProtocolError(f"more than {MOST_BYTES // POINT} points of pictures: so many are not compared")
    flat = bytearray(b"".join(point for row in rows for point in row))
    return torch.frombuffer(flat, dtype=torch.uint8).reshape(len(rows), -1, POINT)


def as_rows(points: Tensor) -> Rows:
    """The rows of `as_tensor`."""
    raw, width = points.numpy().tobytes(), points.shape[1] * POINT
    return [[raw[at : at + POINT] for at in range(first, first + width, POINT)] for first in range(0, len(raw), width)]


def is_table(value: Any) -> bool:
    """Whether a tensor is a table of points of bounded size; whether each is a point is seen when it is used."""
    if not isinstance(value, Tensor) or value.dtype is not torch.uint8 or value.ndim != 3:
        return False
    rows, points, length = value.shape
    return length == POINT and rows > 0 and 0 < points <= MOST_POINTS and value.numel() <= MOST_BYTES


def misfit_of_offer(weights: Mapping[str, Any]) -> str | None:
    """Why what a hospital offers is no table of points; None where it is one."""
    return None if set(weights) == {OFFERED} and is_table(weights[OFFERED]) else "offers no table of points"


def misfit_of_match(weights: Mapping[str, Any], offered: Tensor) -> str | None:
    """Why an answer to an offer is of no use; None where it may be."""
    if set(weights) != {MINE, THEIRS, LEAST} or not is_table(weights[MINE]) or not is_table(weights[THEIRS]):
        return "answers an offer without tables of points"
    if weights[MINE].shape != offered.shape:
        return "answers an offer with another number of points"
    least = weights[LEAST]
    if least.dtype is not torch.int64 or least.shape != (1,) or not 0 < int(least) <= MOST_LEAST:
        return "says no least number of pictures"
    return None


class PointOps(TensorOps):
    """What a server accepts of points. A data report has no weights, so there is nothing else to reckon with."""

    def __init__(self) -> None:
        super().__init__({})

    def refusal(self, assignment: Assignment[Weights], result: Result[Weights]) -> str | None:
        """Why a result's tensors cannot be accepted; None if they can, or if there are none."""
        if result.weights is None:
            return None
        if assignment.task.stage is Stage.OFFER:
            return misfit_of_offer(result.weights)
        if assignment.task.stage is Stage.MATCH:
            return misfit_of_match(result.weights, assignment.models[OFFERED][OFFERED])
        return super().refusal(assignment, result)
