"""What makes a batch of optimal transport problems well posed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from fedefm.errors import OptimalTransportError

# Below this a total cannot be divided by without losing digits or overflowing.
_SMALLEST_TOTAL = float(np.finfo(np.float64).tiny)


def check_shapes(cost: Sequence[int], a: Sequence[int], b: Sequence[int]) -> None:
    """Check that shapes `cost` (B,N,M), `a` (B,N) and `b` (B,M) belong together and that none is empty.

    An empty problem ends the compiled solver with a segmentation fault, so this must come first.

    Raises:
        OptimalTransportError: a wrong number of axes, an axis of length zero, or lengths that differ.
    """
    if len(cost) != 3:
        raise OptimalTransportError(f"cost has shape {tuple(cost)}: give it as (batch, N, M)")
    if 0 in tuple(cost):
        raise OptimalTransportError(f"cost has shape {tuple(cost)}: every axis needs at least one element")
    batch, n, m = cost
    for name, shape, wanted in (("a", a, (batch, n)), ("b", b, (batch, m))):
        if tuple(shape) != wanted:
            raise OptimalTransportError(f"weights {name} have shape {tuple(shape)}: cost {tuple(cost)} needs {wanted}")


@dataclass(frozen=True)
class Problem:
    """A batch of transport problems in host memory, checked when made.

    Attributes:
        cost: (B,N,M) float64, finite; may be negative.
        a: (B,N) float64 raw weights of the rows: finite, not negative, not all zero.
        b: (B,M) float64 raw weights of the columns, likewise.

    Raises:
        OptimalTransportError: one of these does not hold; the message names the argument and the item of the batch.
    """

    cost: Float64[np.ndarray, "b n m"]
    a: Float64[np.ndarray, "b n"]
    b: Float64[np.ndarray, "b m"]

    def __post_init__(self) -> None:
        check_shapes(self.cost.shape, self.a.shape, self.b.shape)
        _check_finite("cost", self.cost)
        for name, weights in (("a", self.a), ("b", self.b)):
            _check_finite(name, weights)
            _check_weights(name, weights)


def normalised(weights: Float64[np.ndarray, "b n"]) -> Float64[np.ndarray, "b n"]:
    """Scale each row to sum 1."""
    return weights / weights.sum(axis=-1, keepdims=True)


def _check_finite(name: str, values: np.ndarray) -> None:
    # A NaN or an infinity always reaches the sum: one pass without a temporary array.
    if math.isfinite(values.sum()):
        return
    finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if finite.all():
        raise OptimalTransportError(f"{name} overflows float64 when summed: scale it down")
    item = int(finite.argmin())
    raise OptimalTransportError(f"{name} of item {item} holds a NaN or infinite value: check the features it came from")


def _check_weights(name: str, weights: np.ndarray) -> None:
    if weights.min() < 0:
        item = int((weights.min(axis=1) < 0).argmax())
        raise OptimalTransportError(f"weights {name} of item {item} hold a negative value: clamp them at zero")
    totals = weights.sum(axis=1)
    if totals.min() < _SMALLEST_TOTAL:
        item = int(totals.argmin())
        raise OptimalTransportError(
            f"weights {name} of item {item} are all zero: use features that agree (after a ReLU), or uniform weights"
        )
