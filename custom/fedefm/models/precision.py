"""A network that computes in half precision: bfloat16 inside, float32 outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)


@contextmanager
def computing_in(precision: str, model: nn.Module) -> Iterator[None]:
    """Until the block ends the network multiplies in this precision; its weights and its answers stay float32.

    What comes after the network (softmax, Dice, the Earth Mover's Distance) is computed in float32 in any case, as the
    network's own `forward` alone is changed: bfloat16 has 8 bits of mantissa, and a sum over pixels needs more.

    Args:
        precision: `bfloat16` for the mixed precision of `torch.autocast`; `float32` changes nothing.
        model: a network that gives one tensor.
    """
    if precision == FLOAT32:
        yield
        return
    plain, kind = model.forward, next(model.parameters()).device.type

    def forward(*args: Any, **named: Any) -> torch.Tensor:
        with torch.autocast(kind, torch.bfloat16):
            answer: torch.Tensor = plain(*args, **named)
        return answer.float()

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
