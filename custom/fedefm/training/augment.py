"""Random changes of a batch: what differs between X-ray systems, not what defines a device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Generator, Tensor

ANY, UPRIGHT = "any", "upright"
ORIENTATIONS = (ANY, UPRIGHT)
BACKGROUND = 0
_DEGREES, _SCALE, _SHIFT = 15.0, 0.25, 0.1


@dataclass(frozen=True)
class Change:
    """One random change as it was drawn; `apply` carries it out.

    Attributes:
        flip: mirror left-right.
        turns: quarter turns.
        affine: (batch, 2, 3), where each image takes its pixels from, in units of half its sides; None: where it is.
        gain: contrast factor, one for each image.
        shift: brightness offset, in units of the normalised grey value.
        bend: strength of a smooth tone curve, as a gamma would give.
        blur: share of a 3 x 3 box blur mixed in.
        noise: standard deviation of added noise.
        noise_seed: seeds the noise.
    """

    flip: bool
    turns: int
    affine: Float[Tensor, "b 2 3"] | None
    gain: Tensor
    shift: Tensor
    bend: Tensor
    blur: Tensor
    noise: Tensor
    noise_seed: int


def draw(batch: int, strength: float, generator: Generator, orientation: str = ANY) -> Change:
    """Draw a change for a batch of images; strength 0 changes only flips and turns.

    Where an image is upright, it is not turned by quarters but by a few degrees, scaled and moved: where a catheter
    comes from then tells it from a vessel.
    """

    def spread(width: float) -> Tensor:
        return strength * width * (2 * torch.rand(batch, 1, 1, 1, generator=generator) - 1)

    return Change(
        flip=bool(torch.rand((), generator=generator) < 0.5),
        turns=int(torch.randint(4, (), generator=generator)) if orientation == ANY else 0,
        affine=None if orientation == ANY else _affine(batch, strength, generator),
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
    if change.affine is not None:
        images, masks = _moved(change.affine, images, masks)
    images = images * change.gain + change.shift + change.bend * (images * images - 1)
    smooth = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = images + change.blur * (smooth - images)
    source = Generator().manual_seed(change.noise_seed)
    return images + change.noise * torch.randn(images.shape, generator=source), masks


def _affine(batch: int, strength: float, generator: Generator) -> Float[Tensor, "b 2 3"]:
    """Turns, scales and shifts, one for each image."""
    turn, scale, right, down = strength * (2 * torch.rand(4, batch, generator=generator) - 1)
    angle, zoom = math.radians(_DEGREES) * turn, torch.exp(-_SCALE * scale)
    across, along = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = (across, -along, 2 * _SHIFT * right, along, across, 2 * _SHIFT * down)
    return torch.stack(rows, -1).reshape(batch, 2, 3)


def _moved(
    affine: Float[Tensor, "b 2 3"], images: Float[Tensor, "b 1 h w"], masks: Int64[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Int64[Tensor, "b h w"]]:
    """Each image and mask from where its change says; around it is what a shutter shows: dark, and no device."""
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    dark = images.flatten(1).amin(1).view(-1, 1, 1, 1)
    shown = F.grid_sample(images - dark, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + dark
    # Which pixel is taken, counted from 1; 0 is what lies outside. Labels themselves may be too large for a float.
    height, width = masks.shape[-2:]
    numbers = torch.arange(1, height * width + 1, dtype=torch.float64).reshape(1, 1, height, width)
    taken = F.grid_sample(
        numbers.expand(len(masks), -1, -1, -1), grid.double(), mode="nearest", padding_mode="zeros", align_corners=False
    )
    number = taken.flatten(1).long()
    moved = masks.flatten(1).gather(1, (number - 1).clamp_min(0)).masked_fill(number == 0, BACKGROUND)
    return shown, moved.reshape(masks.shape)
