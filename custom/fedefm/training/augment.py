"""Random changes of a batch: what differs between X-ray systems, not what defines a device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Generator, Tensor


@dataclass(frozen=True)
class Change:
    """One random change as it was drawn; `apply` carries it out.

    Attributes:
        flip: mirror left-right.
        turns: quarter turns.
        gain: contrast factor, one for each image.
        shift: brightness offset, in units of the normalised grey value.
        bend: strength of a smooth tone curve, as a gamma would give.
        blur: share of a 3 x 3 box blur mixed in.
        noise: standard deviation of added noise.
        noise_seed: seeds the noise.
    """

    flip: bool
    turns: int
    gain: Tensor
    shift: Tensor
    bend: Tensor
    blur: Tensor
    noise: Tensor
    noise_seed: int


def draw(batch: int, strength: float, generator: Generator) -> Change:
    """Draw a change for a batch of images; strength 0 changes only flips and turns."""

    def spread(width: float) -> Tensor:
        return strength * width * (2 * torch.rand(batch, 1, 1, 1, generator=generator) - 1)

    return Change(
        flip=bool(torch.rand((), generator=generator) < 0.5),
        turns=int(torch.randint(4, (), generator=generator)),
        gain=torch.exp(spread(0.4)),
        shift=spread(0.5),
        bend=spread(0.25),
        blur=spread(0.8).clamp_min(0),
        noise=spread(0.25).clamp_min(0),
        noise_seed=int(torch.randint(2**31, (), generator=generator)),
    )


def apply(
    change: Change, images: Float[Tensor, "b 1 h w"], masks: Int64[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Int64[Tensor, "b h w"]]:
    """Apply a change to images, and its geometry to their masks."""
    if change.flip:
        images, masks = images.flip(-1), masks.flip(-1)
    images, masks = images.rot90(change.turns, (-2, -1)), masks.rot90(change.turns, (-2, -1))
    images = images * change.gain + change.shift + change.bend * (images * images - 1)
    smooth = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = images + change.blur * (smooth - images)
    source = Generator().manual_seed(change.noise_seed)
    return images + change.noise * torch.randn(images.shape, generator=source), masks
