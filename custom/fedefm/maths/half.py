"""Weights of half precision for the wire, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedefm.errors import ProtocolError

GREATEST = torch.finfo(torch.float16).max
ROUNDING = 2.0**-11  # of a value of half precision, at most half of its last place
SMALLEST = 2.0**-25  # the same near 0, where its places are all alike


def narrow(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 to float16, rounded to the nearest; all else stays.

    Raises:
        ProtocolError: a value is too large for half precision, or no number; none is clipped.
    """
    return {name: _half(name, value) if value.dtype == torch.float32 else value for name, value in weights.items()}


def widen(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float16 to float32, exactly; all else stays."""
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in weights.items()}


def half_nbytes(weights: Mapping[str, Tensor]) -> int:
    """Bytes of `narrow(weights)`."""
    return sum(value.nbytes // 2 if value.dtype == torch.float32 else value.nbytes for value in weights.values())


def _half(name: str, value: Tensor) -> Tensor:
    half = value.to(torch.float16)
    if not bool(torch.isfinite(half).all()):
        raise ProtocolError(
            f"tensor '{name}' holds a value beyond {GREATEST:g}, which half precision cannot hold; set wire to float32"
        )
    return half
