"""What every frame of a hospital shows at the same place is no device: a collimator's rim, an edge, a mark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fedefm.losses.corpus import SILENT, fold_log_probabilities

LEAST_FRAMES = 12


class StaticStructure:
    """Counts, while a task runs, how often one teacher sees each of its classes at each pixel.

    Batches come flipped and turned at random, and are counted as they come. So only what looks the same after flips and
    turns is found static, such as a round or centred aperture. It costs no pass through a network.

    Args:
        channels: classes that the teacher is asked about.
        limit: share of the frames above which a class at one place is static; 1 finds nothing.
    """

    def __init__(self, channels: Sequence[int], limit: float):
        self._channels, self._limit = tuple(channels), limit
        self._count: Tensor | float = 0.0
        self._frames = 0

    @torch.no_grad()
    def find(self, answer: Float[Tensor, "b k h w"]) -> Bool[Tensor, "b h w"]:
        """Where the teacher sees now what it has seen there too often; nowhere before `LEAST_FRAMES` frames.

        Args:
            answer: logits of the teacher for a batch, which counts from now on.
        """
        said = fold_log_probabilities(answer, self._channels).argmax(1)
        seen = F.one_hot(said, len(self._channels) + 1).movedim(-1, 1)[:, 1:].to(answer.dtype)
        self._count, self._frames = self._count + seen.sum(0), self._frames + len(answer)
        often = self._count > self._limit * self._frames
        return (seen * often).sum(1) > 0 if self._frames >= LEAST_FRAMES else torch.zeros_like(said, dtype=torch.bool)


def silence(
    answer: Float[Tensor, "b k h w"], where: Bool[Tensor, "b h w"], channels: Sequence[int]
) -> Float[Tensor, "b k h w"]:
    """The same logits, but "none of my classes" at these pixels."""
    own = torch.zeros(answer.shape[1], dtype=torch.bool, device=answer.device)
    own[list(channels)] = True
    return answer.masked_fill(where.unsqueeze(1) & own.view(1, -1, 1, 1), SILENT)
