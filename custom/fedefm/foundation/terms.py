"""What a baseline adds to a hospital's local training: one function a method, chosen by the method's `term`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedefm.data.dataset import SiteData
from fedefm.exchange.messages import CORRECTION, PREVIOUS, STUDENT, THETA, Stage, Task, task_seed
from fedefm.foundation.settings import Settings
from fedefm.losses.conditional import conditional_distillation_loss
from fedefm.losses.contrast import contrastive_loss
from fedefm.losses.corpus import corpus_channels
from fedefm.losses.proximal import proximal_term
from fedefm.losses.segmentation import segmentation_loss
from fedefm.models.build import Weights, forward_with_features
from fedefm.training.loop import Batch, draw_batches

Networks = Callable[[str, Mapping[str, Weights]], nn.Module]
Loss = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class LocalWork:
    """One local training, and all that a term may need.

    Attributes:
        model: the network that learns.
        task: the work.
        models: the weights that came with it.
        channels: the hospital's label corpus.
        settings: the job.
        network: builds a network from a role and the weights by role.
    """

    model: nn.Module
    task: Task
    models: Mapping[str, Weights]
    channels: tuple[int, ...]
    settings: Settings
    network: Networks

    @property
    def start(self) -> Weights:
        """Theta, from which the training began."""
        return self.models[STUDENT]

    def frozen(self, role: str, weights: Weights) -> nn.Module:
        """A network that is asked and does not learn."""
        return self.network(role, {role: weights}).eval().requires_grad_(False)


def supervised(work: LocalWork) -> Loss:
    """The foundation loss against the hospital's own labels."""
    return lambda batch: segmentation_loss(work.model(batch[0]), batch[1], work.channels).mean()


def proximal(work: LocalWork) -> Loss:
    """FedProx: a pull back to Theta."""
    device = next(work.model.parameters()).device
    anchor = {name: value.to(device) for name, value in work.start.items()}
    own, strength = supervised(work), work.settings.baseline.proximal
    return lambda batch: own(batch) + strength * proximal_term(dict(work.model.named_parameters()), anchor)


def contrast(work: LocalWork) -> Loss:
    """MOON: features close to Theta's and away from the hospital's last ones; none in a hospital's first round."""
    if PREVIOUS not in work.models:
        return supervised(work)
    s, level = work.settings.baseline, work.settings.distillation.feature_level
    theta, previous = work.frozen(THETA, work.start), work.frozen(PREVIOUS, work.models[PREVIOUS])

    def loss(batch: Batch) -> Tensor:
        logits, nodes = forward_with_features(work.model, batch[0], level)
        with torch.no_grad():
            near, far = representation(theta, batch, level), representation(previous, batch, level)
        apart = contrastive_loss(nodes.mean(1), near, far, s.contrast_temperature)
        return (segmentation_loss(logits, batch[1], work.channels) + s.contrast * apart).mean()

    return loss


def representation(model: nn.Module, batch: Batch, level: int) -> Float[Tensor, "b c"]:
    """The mean over the image of an encoder stage's features."""
    return forward_with_features(model, batch[0], level)[1].mean(1)


def conditional(work: LocalWork) -> Loss:
    """ConDistFL: Theta teaches what the hospital does not label, more and more as it comes to know it."""
    s = work.settings.baseline
    strength = s.conditional * work.task.progress[0]
    if strength == 0:
        return supervised(work)
    theta = work.frozen(THETA, work.start)

    def loss(batch: Batch) -> Tensor:
        logits = work.model(batch[0])
        with torch.no_grad():
            answer = theta(batch[0])
        taught = conditional_distillation_loss(logits, answer, batch[1], work.channels, s.conditional_temperature)
        return (segmentation_loss(logits, batch[1], work.channels) + strength * taught).mean()

    return loss


TERMS: Mapping[str | None, Callable[[LocalWork], Loss]] = {
    None: supervised,
    "variates": supervised,  # the correction follows each step
    "proximal": proximal,
    "contrast": contrast,
    "conditional": conditional,
}


def correction_of(work: LocalWork) -> Callable[[float], None] | None:
    """SCAFFOLD: w <- w - rate (c - c_i) after each step, as FLARE's own helper does; None without a correction.

    With plain gradient descent that is the paper's corrected gradient. AdamW rescales gradients, so here the variates
    hold the mean step, and the correction is added to the step.
    """
    if work.settings.rules.term != "variates" or CORRECTION not in work.models:
        return None
    parameters = dict(work.model.named_parameters())
    sent = work.models[CORRECTION]
    correction = {name: sent[name].to(value.device) for name, value in parameters.items()}

    @torch.no_grad()
    def correct(rate: float) -> None:
        for name, value in parameters.items():
            value.sub_(correction[name], alpha=rate)

    return correct


def pooled(work: LocalWork, others: Sequence[SiteData]) -> Loss:
    """Mean over all hospitals of the loss of a batch of each, against its own label corpus."""
    device = next(work.model.parameters()).device
    streams = [_stream(data, work, number, device) for number, data in enumerate(others)]
    own = supervised(work)

    def loss(batch: Batch) -> Tensor:
        parts = [own(batch)]
        for batches, channels in streams:
            images, masks = next(batches)
            parts.append(segmentation_loss(work.model(images), masks, channels).mean())
        return torch.stack(parts).mean()

    return loss


def alternating(work: LocalWork, others: Sequence[SiteData]) -> Loss:
    """The loss of a batch of one hospital, each in its turn, against its own label corpus."""
    device = next(work.model.parameters()).device
    own, streams = supervised(work), [_stream(data, work, number, device) for number, data in enumerate(others)]
    turns = cycle([None, *streams])

    def loss(batch: Batch) -> Tensor:
        turn = next(turns)
        if turn is None:
            return own(batch)
        images, masks = next(turn[0])
        return segmentation_loss(work.model(images), masks, turn[1]).mean()

    return loss


def _stream(
    data: SiteData, work: LocalWork, number: int, device: torch.device
) -> tuple[Iterator[Batch], tuple[int, ...]]:
    seed = task_seed(work.task.seed, Stage.LOCAL, 0, str(number), "pooled")
    batches = draw_batches(data.train, work.settings.optimisation, seed, device)
    return batches, corpus_channels(data.corpus, work.settings.classes)
