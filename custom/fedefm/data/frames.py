"""Frames that are read a batch at a time: what training, evaluation and fine-tuning know of a hospital's images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fedefm.data.formats.reader import Spacing
from fedefm.data.prepared import Prepared

Batch = tuple[Float[Tensor, "b 1 h w"], Int64[Tensor, "b h w"]]
BATCH = 16
"""Frames that are looked at together where nothing is learnt from them."""


@runtime_checkable
class Frames(Protocol):
    """Frames by their place, from 0."""

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some of them, with their masks; the tensors are the caller's own."""
        ...


@dataclass(frozen=True)
class Split:
    """The frames of one split.

    Attributes:
        frames: gives images, normalised, float32, (b, 1, size, size), and masks, int64, (b, size, size); there 0 is
            background and k the k-th of the classes asked for; below 0 are sets of classes, see
            `fedefm.data.label_sets`.
        labels: of each frame, what stands somewhere in its mask, in order.
        names: opaque frame names, unique in the hospital; no file name, which may hold an identifier.
        patients: opaque patient names, one a frame.
        spacing_mm: millimetres of a pixel of the resized frame, or None where the file does not state it.
    """

    frames: Frames
    labels: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    patients: tuple[str, ...]
    spacing_mm: tuple[Spacing | None, ...]

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some frames, by their places."""
        return self.frames.batch(picked)

    def batches(self, count: int = BATCH) -> Iterator[Batch]:
        """All frames in order, a few at a time."""
        for first in range(0, len(self), count):
            yield self.batch(range(first, min(first + count, len(self))))

    def only(self, kept: Sequence[int]) -> "Split":
        """A part of the frames, by their places."""
        return replace(
            self,
            frames=_Part(self.frames, kept),
            labels=tuple(self.labels[k] for k in kept),
            names=tuple(self.names[k] for k in kept),
            patients=tuple(self.patients[k] for k in kept),
            spacing_mm=tuple(self.spacing_mm[k] for k in kept),
        )


class PreparedFrames:
    """Frames on the disk.

    Args:
        prepared: holds them.
        numbers: which of them.
        labels: the label that each mask position of the hospital stands for.
    """

    def __init__(self, prepared: Prepared, numbers: Sequence[int], labels: Sequence[int] = (0,)):
        self._prepared, self._numbers = prepared, np.array(numbers, np.int64)
        self._labels = np.array(labels, np.int64)

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some of them; without masks every pixel has the first label, which is background unless others are given."""
        images, *masks = self._prepared.read(self._numbers[list(picked)].tolist())
        labels = self._labels[masks[0]] if masks else np.full(images.shape, self._labels[0])
        return torch.from_numpy(images)[:, None], torch.from_numpy(labels)


def joined(first: Split, second: Split) -> Split:
    """Two splits as one, the frames of the first before those of the second."""
    return Split(
        frames=_Joined(first, second),
        labels=first.labels + second.labels,
        names=first.names + second.names,
        patients=first.patients + second.patients,
        spacing_mm=first.spacing_mm + second.spacing_mm,
    )


@dataclass(frozen=True)
class _Joined:
    """The frames of two splits."""

    first: Split
    second: Split

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some of them, in the order in which they are asked for."""
        count = len(self.first)
        here = [row for row, k in enumerate(picked) if k < count]
        there = [row for row, k in enumerate(picked) if k >= count]
        if not there:
            return self.first.batch(picked)
        parts = [self.second.batch([picked[row] - count for row in there])]
        if here:
            parts.insert(0, self.first.batch([picked[row] for row in here]))
        back = torch.tensor([*here, *there]).argsort()
        images, masks = (torch.cat(tensors)[back] for tensors in zip(*parts, strict=True))
        return images, masks


@dataclass(frozen=True)
class _Part:
    """Some of other frames."""

    frames: Frames
    kept: Sequence[int]

    def batch(self, picked: Sequence[int]) -> Batch:
        return self.frames.batch([self.kept[k] for k in picked])
