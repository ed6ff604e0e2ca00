"""Frames of a film that borrow a little of the frames beside them, so that what is marked does not jump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from fedefm.inference.scale import Scale

BESIDE = 0.25
"""Weight of the frame before and of the frame after; the frame itself has the rest."""


class Scored(NamedTuple):
    """Frames that went through the network together.

    Attributes:
        frames: grey frames, each with its scale.
        scores: of each class in the network's square, as probabilities.
        strange: how far each frame is from what the weights were trained on; None where they do not know.
    """

    frames: tuple[tuple[Float32[ndarray, "h w"], Scale], ...]
    scores: Float[Tensor, "b k s s"]
    strange: tuple[float | None, ...]


def steadied(groups: Iterable[Scored]) -> Iterator[Scored]:
    """The same groups of a film, each frame's scores averaged with those of the frames beside it (1/4, 1/2, 1/4).

    The first and the last frame stand in for the one that is missing. One group more is held.
    """
    before: Float[Tensor, "1 k s s"] | None = None
    held: Scored | None = None
    for group in groups:
        if held is not None:
            yield _averaged(before, held, group.scores[:1])
            before = held.scores[-1:]
        held = group
    if held is not None:
        yield _averaged(before, held, None)


def _averaged(before: Float[Tensor, "1 k s s"] | None, group: Scored, after: Float[Tensor, "1 k s s"] | None) -> Scored:
    own = group.scores
    first, last = own[:1] if before is None else before, own[-1:] if after is None else after
    film = torch.cat((first, own, last))
    return group._replace(scores=(1 - 2 * BESIDE) * own + BESIDE * (film[:-2] + film[2:]))
