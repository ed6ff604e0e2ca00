"""The arithmetic of weights that the exchange needs, on torch tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fedefm.maths.averaging import interpolate, linear_combination, weighted_mean
from fedefm.models.build import Weights

MAX_WEIGHT = 1e4  # weights lie around 1; a mean with 1e38 in it would be lost, and with it the honest hospitals


class TensorOps:
    """`exchange.ports.WeightsOps` for state dicts.

    Args:
        reference: weights whose names, shapes and dtypes every other must have.
    """

    def __init__(self, reference: Mapping[str, Tensor]):
        self._schema = {name: (value.shape, value.dtype) for name, value in reference.items()}

    def average(self, models: Mapping[str, Weights], weights: Mapping[str, float]) -> Weights:
        """Weighted mean by silo, sorted by name, in float64."""
        return weighted_mean(models, weights)

    def interpolate(self, a: Weights, b: Weights, t: float) -> Weights:
        """(1 - t) a + t b."""
        return interpolate(a, b, t)

    def combine(self, models: Mapping[str, Weights], factors: Mapping[str, float]) -> Weights:
        """Sum of factor times weights, sorted by name, in float64."""
        return linear_combination(models, factors)

    def refusal(self, weights: Weights) -> str | None:
        """Why weights cannot be accepted, in a few words; None if they can."""
        if not isinstance(weights, dict) or set(weights) != set(self._schema):
            return "weights with missing or additional tensors"
        for name, value in weights.items():
            if not isinstance(value, Tensor) or (value.shape, value.dtype) != self._schema[name]:
                return f"tensor '{name}' has another shape or dtype"
            if not bool(value.isfinite().all()):
                return f"tensor '{name}' holds NaN or infinity"
            if bool(((value > MAX_WEIGHT) | (value < -MAX_WEIGHT)).any()):
                return f"tensor '{name}' holds a value beyond {MAX_WEIGHT:g}, which no training gives"
        return None

    def nbytes(self, weights: Weights) -> int:
        """Bytes of all tensors."""
        return sum(value.numel() * value.element_size() for value in weights.values())
