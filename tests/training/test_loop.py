import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedefm.data.frames import Split
from fedefm.errors import DataError
from fedefm.exchange.messages import Stage, Task
from fedefm.training import augment
from fedefm.training.loop import StoppedError, draw_batches, optimise, rate
from fedefm.training.optimisation import Optimisation
from support.splits import split_of

CPU = torch.device("cpu")
PLAIN = Optimisation(batch_size=2, augment=0.0, warmup_steps=0)


def numbered(count: int) -> Split:
    """Images whose every pixel holds their number."""
    values = torch.arange(count)
    images = values.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).to(torch.float32).contiguous()
    return split_of(images, values.view(-1, 1, 1).expand(-1, 4, 4).contiguous())


def task(steps: int, start: float = 0.0, end: float = 1.0, seed: int = 0) -> Task:
    return Task(Stage.LOCAL, 0, "a", "a", steps=steps, progress=(start, end), seed=seed)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 11), st.integers(1, 7), st.integers(0, 2**62))
def test_every_image_comes_once_an_epoch(count: int, batch: int, seed: int) -> None:
    source = draw_batches(numbered(count), Optimisation(batch_size=batch, augment=0.0), seed, CPU)
    epochs = 3
    batches = [next(source) for _ in range(-(-epochs * count // batch))]
    assert all(len(images) == len(masks) == batch for images, masks in batches)
    drawn = [int(m[0, 0]) for _, masks in batches for m in masks]
    for k in range(epochs):
        assert Counter(drawn[k * count : (k + 1) * count]) == Counter(range(count))


def test_the_same_seed_gives_the_same_batches() -> None:
    def first(seed: int) -> list[torch.Tensor]:
        source = draw_batches(numbered(9), Optimisation(batch_size=4), seed, CPU)
        return [images for images, _ in itertools.islice(source, 4)]

    assert all(torch.equal(a, b) for a, b in zip(first(3), first(3), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first(3), first(4), strict=True))


@pytest.mark.parametrize("done", [0.0, 0.25, 0.5, 0.9])
def test_the_rate_is_half_a_cosine_over_the_run(done: float) -> None:
    assert rate(0, task(4, done, 1.0), 0) == pytest.approx(0.5 * (1 + math.cos(math.pi * done)))
    assert rate(1, task(2, done, 1.0), 0) == pytest.approx(
        max(0.02, 0.5 * (1 + math.cos(math.pi * (done + (1 - done) / 2))))
    )


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(0, 9))
def test_the_rate_stays_in_bounds_and_warms_up(a: float, b: float, steps: int, warmup: int) -> None:
    work = task(steps, min(a, b), max(a, b))
    rates = [rate(k, work, warmup) for k in range(steps)]
    assert all(0 < r <= 1 for r in rates)
    cold = [rate(k, work, 0) for k in range(steps)]
    assert all(before >= after >= 0.02 for before, after in itertools.pairwise(cold))
    for k, (warm, full) in enumerate(zip(rates, cold, strict=True)):
        assert warm == pytest.approx(full * min(1, (k + 1) / (warmup + 1)))


def test_neighbouring_tasks_join_without_a_jump() -> None:
    one = [rate(k, task(10), 0) for k in range(10)]
    two = [rate(k, task(5, 0.0, 0.5), 0) for k in range(5)] + [rate(k, task(5, 0.5, 1.0), 0) for k in range(5)]
    assert one == pytest.approx(two)


class Point(nn.Module):
    """One weight, at first 0."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))


def test_optimise_takes_the_steps_of_adamw() -> None:
    """Against torch's AdamW run by hand at the documented rates."""
    chosen = Optimisation(batch_size=2, learning_rate=0.1, weight_decay=0.01, warmup_steps=2, augment=0.0)
    model, work = Point(), task(12, 0.2, 0.7)
    losses: list[float] = []
    got = optimise(
        model, numbered(3), work, chosen, lambda batch: (model.x - 3) ** 2 / 50, on_step=lambda k, v: losses.append(v)
    )
    twin = Point()
    adam = torch.optim.AdamW(twin.parameters(), lr=0.1, weight_decay=0.01)
    for k in range(12):
        adam.param_groups[0]["lr"] = 0.1 * rate(k, work, 2)
        adam.zero_grad()
        ((twin.x - 3) ** 2 / 50).backward()
        adam.step()
    assert torch.equal(model.x, twin.x) and float(twin.x.detach()) > 0.1
    assert len(losses) == 12 and got == pytest.approx(sum(losses) / 12)


def test_a_huge_gradient_is_clipped() -> None:
    seen: list[float] = []
    model = Point()
    model.x.register_post_accumulate_grad_hook(lambda p: seen.append(float(p.grad)))
    optimise(model, numbered(2), task(2), PLAIN, lambda batch: 1e6 * model.x)
    assert seen == [1e6, 1e6]
    assert float(model.x.grad) == pytest.approx(1.0)


def test_only_what_may_change_changes() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    optimise(model, numbered(3), task(3), PLAIN, lambda batch: model(batch[0].mean((1, 2))).sum())
    assert [torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)] == [True, True, False, False]


def test_without_images_there_is_nothing_to_train_on() -> None:
    with pytest.raises(DataError, match="no training image"):
        optimise(Point(), numbered(0), task(1), PLAIN, lambda batch: torch.zeros(()))


def test_a_stopped_job_stops_at_the_next_step() -> None:
    model, answers = Point(), iter([False, False, True])
    told: list[int] = []
    with pytest.raises(StoppedError, match="step 2 of 9"):
        optimise(
            model,
            numbered(2),
            task(9),
            PLAIN,
            lambda batch: model.x**2,
            lambda: next(answers),
            lambda step, loss: told.append(step),
        )
    assert told == [0, 1]


class Slope(nn.Module):
    """A layer of one weight, that is fitted to images of one grey value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)

    def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return ((self.layer(batch[0]) - 1) ** 2).mean()


def slope_of(model: Slope, **changed: object) -> float:
    """The gradient with which the one step is taken."""
    plain = Optimisation(batch_size=4, augment=0.0, warmup_steps=0)
    optimise(model, numbered(4), task(1), replace(plain, **changed), model.loss)
    assert model.layer.weight.grad is not None
    return float(model.layer.weight.grad)


@pytest.fixture
def unclipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients stay as they are summed."""
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda parameters, most: None)


def test_the_gradient_of_two_accumulated_halves_is_that_of_one_batch(unclipped: None) -> None:
    whole, halves = slope_of(Slope()), slope_of(Slope(), batch_size=2, accumulate=2)
    assert whole == pytest.approx(halves, rel=1e-5) and whole != pytest.approx(slope_of(Slope(), batch_size=2))


def test_channels_last_changes_no_gradient(unclipped: None) -> None:
    assert slope_of(Slope()) == pytest.approx(slope_of(Slope(), channels_last=True), rel=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_that_are_made_ahead_for_a_gpu_are_those_of_one_thread(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, settings = torch.device("meta"), Optimisation(batch_size=2)
    made: dict[int, torch.Tensor] = {}
    plain = augment.apply

    def noted(change: augment.Change, images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = plain(change, images, masks)
        made[change.noise_seed] = result[0]
        return result

    monkeypatch.setattr(augment, "apply", noted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    here = [images for images, _ in itertools.islice(draw_batches(numbered(5), settings, 3, CPU), 6)]
    alone = dict(made)
    there = [images for images, _ in itertools.islice(draw_batches(numbered(5), settings, 3, elsewhere), 6)]
    assert all(images.device == elsewhere for images in there)
    assert len(alone) == len(here) == 6 and all(torch.equal(made[seed], images) for seed, images in alone.items())
    assert set(made) >= set(alone)
