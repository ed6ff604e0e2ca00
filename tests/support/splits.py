"""Splits of tensors that are at hand, and the whole of a split as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fedefm.data.frames import Batch, Split


@dataclass(frozen=True)
class Held:
    """Frames in memory."""

    images: Tensor
    masks: Tensor

    def batch(self, picked: Sequence[int]) -> Batch:
        return self.images[list(picked)], self.masks[list(picked)]


def split_of(images: Tensor, masks: Tensor, patients: Sequence[str] | None = None) -> Split:
    """A split of these frames, each of a patient of its own unless patients are given."""
    count = len(images)
    return Split(
        Held(images, masks),
        tuple(tuple(mask.unique().tolist()) for mask in masks),
        tuple(f"frame-{k}" for k in range(count)),
        tuple(patients or (f"patient-{k}" for k in range(count))),
        (None,) * count,
    )


def images_of(split: Split) -> Tensor:
    """All images."""
    return split.batch(range(len(split)))[0]


def masks_of(split: Split) -> Tensor:
    """All masks."""
    return split.batch(range(len(split)))[1]
