"""What each baseline adds to local training, on networks small enough to follow by hand."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from nvflare.app_opt.pt.scaffold import PTScaffoldHelper
from torch import Tensor, nn

from fedefm.data.dataset import SiteData
from fedefm.data.frames import Split
from fedefm.errors import ConfigError
from fedefm.exchange.messages import CORRECTION, PREVIOUS, Assignment, Stage, Task
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Baseline, Settings
from fedefm.foundation.terms import TERMS, LocalWork, alternating, correction_of, pooled, supervised
from fedefm.losses.conditional import conditional_distillation_loss
from fedefm.losses.contrast import contrastive_loss
from fedefm.losses.segmentation import segmentation_loss
from fedefm.models.build import Weights, initial_weights, take_weights
from fedefm.training.loop import learning_rate, optimise, rate_sum
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST
from support.splits import split_of

CLASSES = ("catheter", "guidewire", "vessel")
STRENGTH = Baseline(proximal=0.4, contrast=2.0, contrast_temperature=0.7, conditional=3.0, conditional_temperature=0.6)
IMAGES = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
MASKS = torch.tensor([[[0, 1, 0, 0]] * 4, [[0, 0, 1, 0]] * 4])


class Tiny(nn.Module):
    """An encoder of one number a pixel, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Conv2d(2, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images)[-1])


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layer(images)]


def tiny(seed: int) -> Tiny:
    torch.manual_seed(seed)
    return Tiny()


def network(role: str, models: Mapping[str, Weights]) -> nn.Module:
    model = Tiny()
    model.load_state_dict(models[role])
    return model


def work(method: str, models: Mapping[str, Weights], model: nn.Module | None = None, start: float = 0.5) -> LocalWork:
    job = Settings(CLASSES, schedule=Schedule(method), baseline=STRENGTH)
    task = Task(Stage.LOCAL, 1, "east", "east", steps=2, progress=(start, 1.0))
    return LocalWork(model or network("student", models), task, models, (1,), job, network)


def loss_of(case: LocalWork) -> Callable[[Any], Tensor]:
    return TERMS[case.settings.rules.term](case)


def own(model: nn.Module) -> Tensor:
    return segmentation_loss(model(IMAGES), MASKS, (1,)).mean()


THETA, LAST = take_weights(tiny(1)), take_weights(tiny(2))


def test_every_method_has_its_term() -> None:
    assert {method.term for method in REGISTRY.values()} == set(TERMS)


@pytest.mark.parametrize("method", ["fedavg", "fedavg_rate", "ring", "matcha", "cyclic", "lone", "scaffold"])
def test_without_a_term_the_loss_is_the_supervised_one(method: str) -> None:
    case = work(method, {"student": THETA})
    assert torch.equal(loss_of(case)((IMAGES, MASKS)), own(case.model))


def test_fedprox_adds_the_pull_to_where_it_began() -> None:
    moved = tiny(3)
    case = work("fedprox", {"student": THETA}, moved)
    distance = sum(((v - THETA[k]) ** 2).sum() for k, v in moved.state_dict().items())
    torch.testing.assert_close(loss_of(case)((IMAGES, MASKS)), own(moved) + 0.4 * distance / 2)


def test_moon_adds_the_contrast_between_theta_and_the_last_weights() -> None:
    case = work("moon", {"student": THETA, PREVIOUS: LAST}, tiny(3))

    def seen(model: Any) -> Tensor:
        return model.encoder(IMAGES)[-1].mean((2, 3))

    z, near, far = (seen(m) for m in (case.model, network("s", {"s": THETA}), network("s", {"s": LAST})))
    by_hand = own(case.model) + 2.0 * contrastive_loss(z, near, far, 0.7).mean()
    torch.testing.assert_close(loss_of(case)((IMAGES, MASKS)), by_hand)


def test_moon_without_last_weights_is_fedavg() -> None:
    case = work("moon", {"student": THETA}, tiny(3))
    assert torch.equal(loss_of(case)((IMAGES, MASKS)), own(case.model))


def test_condist_listens_to_theta_more_and_more() -> None:
    model, theta = tiny(3), network("s", {"s": THETA})
    taught = conditional_distillation_loss(model(IMAGES), theta(IMAGES), MASKS, (1,), 0.6).mean()
    for start, strength in ((0.0, 0.0), (0.5, 1.5), (1.0, 3.0)):
        found = loss_of(work("condist", {"student": THETA}, model, start))((IMAGES, MASKS))
        torch.testing.assert_close(found, own(model) + strength * taught)


def test_scaffold_corrects_each_step_as_flares_helper_does() -> None:
    c, c_i = take_weights(tiny(4)), take_weights(tiny(5))
    ours, theirs = tiny(1), tiny(1)
    correct = correction_of(work("scaffold", {"student": THETA, CORRECTION: {k: c[k] - c_i[k] for k in c}}, ours))
    assert correct is not None
    helper = PTScaffoldHelper()
    helper.init(theirs)
    helper.c_global.load_state_dict(c)
    helper.c_local.load_state_dict(c_i)
    sent = helper.get_params()
    for rate in (0.3, 0.1):
        correct(rate)
        helper.model_update(theirs, rate, *sent)
    by_hand = {name: value - 0.4 * (c[name] - c_i[name]) for name, value in THETA.items()}
    for name, value in take_weights(ours).items():
        torch.testing.assert_close(value, by_hand[name])
        torch.testing.assert_close(value, theirs.state_dict()[name])


@pytest.mark.parametrize("method", ["fedavg", "scaffold"])
def test_no_correction_without_variates(method: str) -> None:
    models = {"student": THETA} if method == "scaffold" else {"student": THETA, CORRECTION: LAST}
    assert correction_of(work(method, models)) is None


def split(count: int, shade: float) -> Split:
    return split_of(torch.full((count, 1, 4, 4), shade), torch.zeros(count, 4, 4, dtype=torch.int64))


def test_pooled_training_takes_the_mean_over_hospitals_with_their_own_corpora() -> None:
    model = tiny(3)
    case = work("pooled", {"student": THETA}, model)
    case = replace(case, settings=replace(case.settings, optimisation=Optimisation(batch_size=2, augment=0.0)))
    other = SiteData(("guidewire", "vessel"), CLASSES, split(3, 0.7), split(1, 0.7), split(1, 0.7), 0)
    images, masks = other.train.batch([0, 1])
    theirs = segmentation_loss(model(images), masks, (2, 3)).mean()
    found = pooled(case, [other])((IMAGES, MASKS))
    torch.testing.assert_close(found, (own(model) + theirs) / 2)
    torch.testing.assert_close(pooled(case, [])((IMAGES, MASKS)), own(model))
    loss = alternating(case, [other])
    torch.testing.assert_close(loss((IMAGES, MASKS)), own(model))
    theirs = 2 * found - own(model)
    torch.testing.assert_close(loss((IMAGES, MASKS)), theirs)
    torch.testing.assert_close(loss((IMAGES, MASKS)), own(model))


# Through a hospital


JOB = Settings(CLASSES, size=64, model=SMALLEST, optimisation=Optimisation(batch_size=2))
START, OTHER = initial_weights(SMALLEST, 4, 64, seed=0), initial_weights(SMALLEST, 4, 64, seed=1)


def with_method(method: str) -> Settings:
    return replace(JOB, schedule=Schedule(method), baseline=replace(STRENGTH, proximal=50.0))


def trained(consortium: Any, method: str, **models: Weights) -> Weights:
    task = Task(Stage.LOCAL, 1, "east", "east", steps=3, progress=(0.5, 0.6), seed=1)
    hospital = Hospital("east", consortium["east"], with_method(method), others=list)
    result = hospital.perform(Assignment(task, {"student": START, **models}))
    assert result.weights is not None
    assert result.report["rate_sum"] == pytest.approx(rate_sum(task, JOB.optimisation))
    return result.weights


def distance(a: Weights, b: Weights) -> float:
    return float(torch.stack([(a[k] - b[k]).double().square().sum() for k in a]).sum().sqrt())


def test_every_term_changes_what_a_hospital_trains(consortium: Any) -> None:
    plain = trained(consortium, "fedavg")
    assert distance(trained(consortium, "pooled"), plain) == 0  # alone there is nobody to pool with
    assert distance(trained(consortium, "moon", previous=OTHER), plain) > 0
    assert distance(trained(consortium, "condist"), plain) > 0
    assert distance(trained(consortium, "fedprox"), START) < distance(plain, START)


def test_a_correction_moves_the_weights_by_the_sum_of_rates(consortium: Any) -> None:
    """Of parameters that get no gradient: those of a network under no loss follow the correction alone."""
    task = Task(Stage.LOCAL, 0, "east", "east", steps=3)
    settings = Optimisation(batch_size=2, weight_decay=0.0)
    model = nn.Linear(1, 1, bias=False)
    begin = float(model.weight.detach())
    rates = []

    def correct(rate: float) -> None:
        rates.append(rate)
        model.weight.data.sub_(2.0, alpha=rate)

    optimise(model, split(4, 1.0), task, settings, lambda batch: 0 * model.weight.sum(), correct=correct)
    assert rates == [learning_rate(k, task, settings) for k in range(3)]
    assert float(model.weight.detach()) == pytest.approx(begin - 2.0 * rate_sum(task, settings))


def test_a_hospital_on_its_own_refuses_to_pool(consortium: Any) -> None:
    hospital = Hospital("east", consortium["east"], with_method("pooled"))
    task = Task(Stage.LOCAL, 0, "east", "east", steps=1)
    with pytest.raises(ConfigError, match="--in-process"):
        hospital.perform(Assignment(task, {"student": START}))


def test_supervised_training_needs_no_term() -> None:
    case = work("moon", {"student": THETA, PREVIOUS: LAST}, tiny(3))
    assert torch.equal(supervised(case)((IMAGES, MASKS)), own(case.model))
