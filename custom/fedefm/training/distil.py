"""A silo learns at home from its returned experts (Eq. 2, 3 and 11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fedefm.losses.corpus import condition_on_labels, fold_log_probabilities
from fedefm.losses.distillation import distillation_loss
from fedefm.losses.segmentation import segmentation_loss
from fedefm.maths import cosine_cost, emd, emd_similarity, node_weights, regional_similarity
from fedefm.models.build import forward_with_features
from fedefm.training.loop import Batch
from fedefm.training.settings import Distillation


@dataclass(frozen=True)
class Teacher:
    """An expert that came back: its network, and the channels that its host annotates."""

    model: nn.Module
    channels: tuple[int, ...]


class DistillationObjective:
    """beta sum_j w_j T^2 L_c(S, T_j) + (1 - beta) L_c(S, y), and the mean EMD similarity of every teacher.

    Args:
        student: the silo's own network.
        teachers: experts by host.
        channels: the silo's own label corpus.
        settings: temperature, beta, weighting.
    """

    def __init__(
        self, student: nn.Module, teachers: Mapping[str, Teacher], channels: Sequence[int], settings: Distillation
    ):
        self._student, self._channels, self._settings = student, channels, settings
        self._teachers = dict(sorted(teachers.items()))
        self._similarity: dict[str, list[float]] = defaultdict(list)

    def __call__(self, batch: Batch) -> Tensor:
        """Loss of one batch."""
        images, masks = batch
        s = self._settings
        logits, nodes = forward_with_features(self._student, images, s.feature_level)
        supervised = segmentation_loss(logits, masks, self._channels)
        if not self._teachers:
            return supervised.mean()
        taught, scale = logits.new_zeros(len(images)), logits.new_zeros(len(images))
        for host, teacher in self._teachers.items():
            answer, seen = self._ask(teacher, images, masks)
            weight, region = self._weigh(host, nodes.detach(), seen, images.shape[-2:])
            channels = teacher.channels if s.class_aware else tuple(range(1, logits.shape[1]))
            if s.negatives < 1:
                gate = presence(answer, channels, s.negatives)
                region = gate if region is None else region * gate
            taught = taught + weight * distillation_loss(logits, answer, channels, s.temperature, region)
            scale = scale + weight
            if s.differentiate_emd:
                taught = taught + s.differentiate_emd * emd(cosine_cost(nodes, seen), *node_weights(nodes, seen))
        own = supervised * scale if s.paper_exact else supervised
        return (s.beta * taught + (1 - s.beta) * own).mean()

    def similarities(self) -> dict[str, float]:
        """Mean EMD similarity of every teacher over the batches so far."""
        return {host: sum(values) / len(values) for host, values in self._similarity.items()}

    @torch.no_grad()
    def _ask(
        self, teacher: Teacher, images: Tensor, masks: Tensor
    ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b n c"]]:
        """A teacher's logits, corrected by the silo's own labels, and its features."""
        answer, seen = forward_with_features(teacher.model, images, self._settings.feature_level)
        if self._settings.condition_on_labels:
            answer = condition_on_labels(answer, masks, self._channels)
        return answer, seen

    def _weigh(
        self, host: str, u: Tensor, v: Tensor, size: Sequence[int]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b h w"] | None]:
        """Weight of a teacher for each image, and of each pixel under regional weighting."""
        score = emd_similarity(u, v)
        self._similarity[host].append(float(score.mean()))
        if self._settings.weighting == "emd":
            return score, None
        if self._settings.weighting == "uniform":
            return torch.ones_like(score), None
        return torch.ones_like(score), regional_weights(regional_similarity(u, v), size, self._settings.tau)


def presence(answer: Float[Tensor, "b k h w"], channels: Sequence[int], negatives: float) -> Float[Tensor, "b h w"]:
    """Weight of every pixel: 1 where a teacher sees one of its classes, `negatives` where it sees none."""
    absent = fold_log_probabilities(answer, channels)[:, 0].exp()
    return 1 - (1 - negatives) * absent


def regional_weights(similarity: Float[Tensor, "b n"], size: Sequence[int], tau: float) -> Float[Tensor, "b h w"]:
    """exp(-(1 - s_p) / tau) of every node, brought up to the pixels bilinearly.

    Args:
        similarity: s_p in [0, 1] of the student's nodes.
        size: height and width of the images in pixels; the nodes form a grid of the same shape.
        tau: sharpness.
    """
    batch, nodes = similarity.shape
    height = round((nodes * size[0] / size[1]) ** 0.5)
    grid = torch.exp(-(1 - similarity) / tau).view(batch, 1, height, nodes // height)
    return F.interpolate(grid, tuple(size), mode="bilinear", align_corners=False).squeeze(1)
