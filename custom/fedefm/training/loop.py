"""The gradient steps that every training task shares: batches, rate, augmentation, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from fedefm.ahead import ahead
from fedefm.data.frames import Batch, Split
from fedefm.errors import DataError, FedefmError
from fedefm.exchange.messages import Task
from fedefm.models.precision import computing_in
from fedefm.training import augment
from fedefm.training.optimisation import Optimisation

OnStep = Callable[[int, float], None]


class StoppedError(FedefmError):
    """The job was aborted while a task was at work."""


def optimise(
    model: nn.Module,
    split: Split,
    task: Task,
    settings: Optimisation,
    loss_of: Callable[[Batch], Tensor],
    should_stop: Callable[[], bool] = lambda: False,
    on_step: OnStep = lambda step, loss: None,
    groups: Sequence[Mapping[str, Any]] | None = None,
    correct: Callable[[float], None] | None = None,
) -> float:
    """Take `task.steps` steps of AdamW on `loss_of`, from a fresh optimiser, and give the mean loss.

    Nothing but weights travels, so a visiting expert's optimiser starts cold; a short warm-up softens that. `groups`
    gives `params` their `share` of the learning rate; None trains all at the whole rate. `correct` is called after
    every step with its learning rate.

    Raises:
        DataError: the split is empty.
        StoppedError: `should_stop` said so.
    """
    if len(split) == 0:
        raise DataError("no training image at this site; add images or leave the job")
    model.train()
    decayed = [p for p in model.parameters() if p.requires_grad]
    parts = groups or [{"params": decayed, "share": 1.0}]
    optimiser = torch.optim.AdamW(parts, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    batches, total = draw_batches(split, settings, task.seed, next(model.parameters()).device), 0.0
    with computing_in(settings.precision, model, channels_last=settings.channels_last):
        for step in range(task.steps):
            if should_stop():
                raise StoppedError(f"{task.id}: stopped at step {step} of {task.steps}")
            for group in optimiser.param_groups:
                group["lr"] = group["share"] * learning_rate(step, task, settings)
            optimiser.zero_grad(set_to_none=True)
            value = math.fsum(_backward(loss_of(next(batches)), settings) for _ in range(settings.accumulate))
            nn.utils.clip_grad_norm_(decayed, 1.0)
            optimiser.step()
            if correct is not None:
                correct(learning_rate(step, task, settings))
            total += value
            on_step(step, value)
    return total / max(1, task.steps)


def _backward(loss: Tensor, settings: Optimisation) -> float:
    """Add a batch's gradient to that of the step; gives its share of the step's loss."""
    share = loss / settings.accumulate
    share.backward()
    return float(share.detach())


def rate(step: int, task: Task, warmup: int) -> float:
    """Share of the peak learning rate: half a cosine over the whole run, and a warm-up within the task."""
    start, end = task.progress
    done = start + (end - start) * step / max(1, task.steps)
    return min(1.0, (step + 1) / (warmup + 1)) * max(0.02, 0.5 * (1 + math.cos(math.pi * done)))


def learning_rate(step: int, task: Task, settings: Optimisation) -> float:
    """Learning rate of one step of a task."""
    return settings.learning_rate * rate(step, task, settings.warmup_steps)


def learning_rates(task: Task, settings: Optimisation) -> list[float]:
    """Learning rate of every step of a task."""
    return [learning_rate(step, task, settings) for step in range(task.steps)]


def rate_sum(task: Task, settings: Optimisation) -> float:
    """Sum of the learning rates of a task's steps: how far it can go."""
    return math.fsum(learning_rates(task, settings))


def draw_batches(split: Split, settings: Optimisation, seed: int, device: torch.device) -> Iterator[Batch]:
    """Endless augmented batches; every image once before any comes again. The same seed gives the same batches.

    A GPU does not wait for them: the next ones are read and changed by other threads while it computes. What is drawn
    is drawn in order, so that the number of threads changes nothing.
    """

    def made(drawn: tuple[list[int], augment.Change]) -> Batch:
        return augment.apply(drawn[1], *split.batch(drawn[0]))

    threads = torch.get_num_threads() if device.type != "cpu" else 1
    for _, (images, masks) in ahead(made, _draws(len(split), settings, seed), threads):
        yield images.to(device), masks.to(device)


def _draws(count: int, settings: Optimisation, seed: int) -> Iterator[tuple[list[int], augment.Change]]:
    """Which images make up each batch, and how they are changed."""
    generator = Generator().manual_seed(seed)
    order: list[int] = []
    while True:
        while len(order) < settings.batch_size:
            order += torch.randperm(count, generator=generator).tolist()
        picked, order = order[: settings.batch_size], order[settings.batch_size :]
        yield picked, augment.draw(len(picked), settings.augment, generator, settings.orientation)
