"""A silo learns at home from its returned experts (Eq. 2, 3 and 11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fedefm.errors import OptimalTransportError
from fedefm.foundation.lessons import Answer, Ask
from fedefm.foundation.settings import Distillation
from fedefm.foundation.static import StaticStructure, silence
from fedefm.losses.corpus import condition_on_labels, fold_log_probabilities
from fedefm.losses.distillation import distillation_loss
from fedefm.losses.segmentation import segmentation_loss
from fedefm.maths import cosine_cost, emd, emd_similarity, node_weights, regional_similarity
from fedefm.models.build import forward_with_features
from fedefm.training.loop import Batch


@dataclass(frozen=True)
class Teacher:
    """An expert that came back.

    Attributes:
        ask: gives its logits and features of a batch of images.
        channels: that its host annotates.
        reputation: share in [0, 1] of its weight.
    """

    ask: Ask
    channels: tuple[int, ...]
    reputation: float = 1.0


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
        self._static: dict[str, StaticStructure] = {}
        self._dropped: set[str] = set()

    def __call__(self, batch: Batch) -> Tensor:
        """Loss of one batch."""
        images, masks = batch
        s = self._settings
        logits, nodes = forward_with_features(self._student, images, s.feature_level)
        supervised = segmentation_loss(logits, masks, self._channels)
        if not self._teachers:
            return supervised.mean()
        asked = {host: self._ask(teacher, images, masks) for host, teacher in self._teachers.items()}
        scores = self._compare(nodes.detach(), asked)
        asked = {host: asked[host] for host in scores}
        weights = self._weigh(scores)
        taught, scale = logits.new_zeros(len(images)), logits.new_zeros(len(images))
        for host, (answer, seen) in asked.items():
            channels = self._teachers[host].channels if s.class_aware else tuple(range(1, logits.shape[1]))
            static = self._find_static(host, answer, channels)
            answer = silence(answer, static, channels)
            region = self._regions(nodes.detach(), seen, answer, channels, images.shape[-2:])
            region = region if region is None else region.masked_fill(static, 1.0)
            taught = taught + weights[host] * distillation_loss(logits, answer, channels, s.temperature, region)
            scale = scale + weights[host]
            if s.differentiate_emd:
                distance = emd(cosine_cost(nodes, seen), *node_weights(nodes, seen))
                taught = taught + s.differentiate_emd * distance
        own = supervised * scale if s.paper_exact else supervised
        return (s.beta * taught + (1 - s.beta) * own).mean()

    def similarities(self) -> dict[str, float]:
        """Mean EMD similarity of every teacher over the batches so far."""
        return {host: sum(values) / len(values) for host, values in self._similarity.items()}

    @property
    def dropped(self) -> list[str]:
        """Teachers that could not be compared with the student, sorted; they teach no more in this task."""
        return sorted(self._dropped)

    def _compare(self, nodes: Float[Tensor, "b n c"], asked: Mapping[str, Answer]) -> dict[str, Float[Tensor, " b"]]:
        """The EMD similarity of every teacher that can be compared; one that cannot is dropped, and ends nothing."""
        scores = {}
        for host, (answer, seen) in asked.items():
            if host in self._dropped:
                continue
            try:
                score = emd_similarity(nodes, seen)
            except OptimalTransportError:
                self._dropped.add(host)
                continue
            if bool(answer.isfinite().all()):
                scores[host] = score
            else:
                self._dropped.add(host)
        return scores

    @torch.no_grad()
    def _ask(self, teacher: Teacher, images: Tensor, masks: Tensor) -> Answer:
        """A teacher's logits, corrected by the silo's own labels, and its features."""
        answer, seen = teacher.ask(images)
        if self._settings.condition_on_labels:
            answer = condition_on_labels(answer, masks, self._channels)
        return answer, seen

    def _find_static(
        self, host: str, answer: Float[Tensor, "b k h w"], channels: Sequence[int]
    ) -> Bool[Tensor, "b h w"]:
        """Where a teacher sees what it has seen there in too many frames."""
        return self._static.setdefault(host, StaticStructure(channels, self._settings.static_limit)).find(answer)

    def _weigh(self, scores: Mapping[str, Float[Tensor, " b"]]) -> dict[str, Float[Tensor, " b"]]:
        """Weight of every teacher for each image."""
        for host, score in scores.items():
            self._similarity[host].append(float(score.mean()))
        weights = image_weights(scores, self._settings)
        return {host: self._teachers[host].reputation * weight for host, weight in weights.items()}

    def _regions(
        self, u: Tensor, v: Tensor, answer: Tensor, channels: Sequence[int], size: Sequence[int]
    ) -> Float[Tensor, "b h w"] | None:
        """Weight of every pixel, where the settings tell pixels apart."""
        s = self._settings
        regions = []
        if s.weighting == "regional":
            regions.append(regional_weights(regional_similarity(u, v), size, s.tau))
        if s.negatives < 1:
            regions.append(presence(answer, channels, s.negatives))
        return reduce(mul, regions) if regions else None


def image_weights(scores: Mapping[str, Float[Tensor, " b"]], settings: Distillation) -> dict[str, Float[Tensor, " b"]]:
    """Weight of every teacher for each image, from the EMD similarities; regional weighting tells pixels apart."""
    if settings.weighting == "emd":
        return dict(scores)
    weight = settings.constant if settings.weighting == "constant" else 1.0
    return {host: torch.full_like(score, weight) for host, score in scores.items()}


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
