import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedefm.losses.segmentation import foundation_loss, segmentation_loss


def random_logits(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_image(foreground: list[list[float]]) -> Tensor:
    """Probabilities (1, 2, h, w) of background and one class."""
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p])[None]


def test_cross_entropy_and_dice_of_a_2_x_2_image_by_hand() -> None:
    p, q = [[0.9, 0.2], [0.5, 0.1]], [[1.0, 0.0], [1.0, 0.0]]
    entropy = -(math.log(0.9) + math.log(0.8) + math.log(0.5) + math.log(0.9)) / 4
    overlap = 2 * (0.9 + 0.5) + 1
    total = (0.81 + 0.04 + 0.25 + 0.01) + 2 + 1
    loss = foundation_loss(one_image(p).log(), one_image(q))
    assert float(loss) == pytest.approx(entropy + 1 - overlap / total)


def test_the_dice_term_is_the_mean_over_foreground_classes() -> None:
    p, q = random_logits(0, 2, 3, 4, 4).softmax(1), random_logits(1, 2, 3, 4, 4).softmax(1)
    entropy = -(q * p.log()).sum(1).flatten(1).mean(1)
    dice = [
        (2 * (p[:, k] * q[:, k]).sum((1, 2)) + 1) / ((p[:, k] ** 2).sum((1, 2)) + (q[:, k] ** 2).sum((1, 2)) + 1)
        for k in (1, 2)
    ]
    torch.testing.assert_close(foundation_loss(p.log(), q), entropy + 1 - (dice[0] + dice[1]) / 2)


def test_images_do_not_see_each_other() -> None:
    log_p, q = random_logits(0, 3, 3, 4, 4).log_softmax(1), random_logits(1, 3, 3, 4, 4).softmax(1)
    alone = torch.cat([foundation_loss(log_p[k : k + 1], q[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(foundation_loss(log_p, q), alone)


def test_the_target_itself_is_a_minimum() -> None:
    z = random_logits(0, 2, 4, 5, 5)
    q = z.softmax(1)
    at = z.clone().requires_grad_()
    foundation_loss(at.log_softmax(1), q).sum().backward()
    assert at.grad is not None and float(at.grad.abs().max()) < 1e-12
    best = foundation_loss(q.log(), q)
    for seed in range(1, 50):
        other = (z + 10 ** -(seed % 4) * random_logits(seed, 2, 4, 5, 5)).log_softmax(1)
        assert bool((foundation_loss(other, q) > best).all())


def test_an_absent_class_costs_nothing_when_it_is_not_predicted() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    logits = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    logits[:, 0] = 50.0
    assert float(segmentation_loss(logits, mask, (1, 2))) == pytest.approx(0, abs=1e-12)
    logits[:, 2] = 60.0
    assert float(segmentation_loss(logits, mask, (1, 2))) > 5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(1,), (1, 2), (1, 2, 3)]), st.booleans())
def test_gradients_are_those_of_finite_differences(seed: int, channels: tuple[int, ...], weighted: bool) -> None:
    z = random_logits(seed, 1, len(channels) + 1, 2, 2).requires_grad_()
    q = random_logits(seed + 1, 1, len(channels) + 1, 2, 2).softmax(1)
    weight = random_logits(seed + 2, 1, 2, 2).abs() if weighted else None
    assert torch.autograd.gradcheck(lambda x: foundation_loss(x.log_softmax(1), q, weight), (z,))


def test_an_unlabelled_class_is_not_penalised_as_background() -> None:
    """One pixel, three channels: background 0, labelled A, unlabelled B; the label says background.

    With p the softmax and L = -log(p_0 + p_B) + 1 - 1 / (p_A^2 + 1):
    dL/dz_A = p_A + D p_A (1 - p_A) and dL/dz_k = -p_k p_A / (p_0 + p_B) - D p_k p_A for k in {0, B},
    where D = 2 p_A / (p_A^2 + 1)^2. The unlabelled class is pushed up, like background, and never down.
    """
    z = torch.tensor([0.3, 0.7, 1.1], dtype=torch.float64)
    logits = z.view(1, 3, 1, 1).clone().requires_grad_()
    segmentation_loss(logits, torch.zeros(1, 1, 1, dtype=torch.int64), (1,)).backward()
    p0, pa, pb = z.softmax(0).tolist()
    d = 2 * pa / (pa**2 + 1) ** 2
    by_hand = [-p0 * pa / (p0 + pb) - d * p0 * pa, pa + d * pa * (1 - pa), -pb * pa / (p0 + pb) - d * pb * pa]
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx(by_hand)
    assert by_hand[2] < 0


def test_background_and_unlabelled_may_trade_places_freely() -> None:
    logits = random_logits(0, 2, 4, 3, 3)
    mask = torch.randint(0, 2, (2, 3, 3), generator=torch.Generator().manual_seed(0))
    swapped = logits[:, [3, 1, 2, 0]]
    torch.testing.assert_close(segmentation_loss(logits, mask, (1, 2)), segmentation_loss(swapped, mask, (1, 2)))


def test_labels_are_a_one_hot_target() -> None:
    logits = random_logits(0, 2, 3, 4, 4)
    mask = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    one_hot = torch.stack([(mask == k).double() for k in range(3)], 1)
    expected = foundation_loss(logits.log_softmax(1), one_hot)
    torch.testing.assert_close(segmentation_loss(logits, mask, (1, 2)), expected)
