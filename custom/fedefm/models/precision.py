"""How a network computes: in float32, or in bfloat16 inside and float32 outside; and with its channels last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)


@contextmanager
def computing_in(precision: str, model: nn.Module, *, channels_last: bool = False) -> Iterator[None]:
    """Until the block ends the network multiplies in this precision; its weights and its answers stay float32.

    What comes after the network (softmax, Dice, the Earth Mover's Distance) is computed in float32 in any case, as the
    network's own `forward` alone is changed: bfloat16 has 8 bits of mantissa, and a sum over pixels needs more.

    Args:
        precision: `bfloat16` for the mixed precision of `torch.autocast`; `float32` changes nothing.
        model: a network that makes one tensor of images.
        channels_last: keep the channels of a pixel side by side, in the weights (which stay so) and in the images.
    """
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif precision == FLOAT32:
        yield
        return
    plain, kind = model.forward, next(model.parameters()).device.type

    def forward(images: torch.Tensor, *args: Any) -> torch.Tensor:
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(kind, torch.bfloat16, enabled=precision == BFLOAT16):
            answer: torch.Tensor = plain(images, *args)
        return answer.float()

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
