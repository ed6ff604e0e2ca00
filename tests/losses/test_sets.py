"""The laws of labels that are sets of classes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedefm.data.label_sets import NOTHING_KNOWN, set_label
from fedefm.losses.conditional import conditional_distillation_loss
from fedefm.losses.corpus import condition_on_labels, fold_log_probabilities, fold_possible
from fedefm.losses.segmentation import segmentation_loss
from fedefm.losses.sets import merge, set_loss

TOOL = set_label([1, 2])
K = 4
CORPORA = st.sampled_from([(1, 2), (1, 2, 3), (2, 1)])


def logits_of(seed: int, k: int = K) -> Tensor:
    return 3 * torch.randn(2, k, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask_of(seed: int, labels: list[int]) -> Tensor:
    drawn = torch.randint(0, len(labels), (2, 4, 5), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(labels)[drawn]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(1,), (1, 2), (1, 2, 3), (3, 1)]))
def test_without_sets_it_is_the_ordinary_loss(seed: int, channels: tuple[int, ...]) -> None:
    logits, mask = logits_of(seed), mask_of(seed, [0, 1, 2, 3])
    found = set_loss(fold_log_probabilities(logits, channels), mask, channels, K)
    torch.testing.assert_close(found, segmentation_loss(logits, mask, channels))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), CORPORA)
def test_a_set_of_one_class_is_that_class(seed: int, channels: tuple[int, ...]) -> None:
    logits = logits_of(seed)
    alone = mask_of(seed, [0, -(1 << 1), 2, 3])
    torch.testing.assert_close(
        segmentation_loss(logits, alone, channels),
        segmentation_loss(logits, alone.where(alone >= 0, torch.tensor(1)), channels),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), CORPORA)
def test_where_all_is_said_as_a_set_its_classes_are_one_class(seed: int, channels: tuple[int, ...]) -> None:
    """The loss of a network whose outputs for the classes of the set were added up."""
    logits, mask = logits_of(seed), mask_of(seed, [0, TOOL, 3])
    log_p = logits.log_softmax(1)
    added = torch.stack([log_p[:, 0], log_p[:, 1:3].logsumexp(1), log_p[:, 3]], 1)
    together = (1, 2) if 3 in channels else (1,)
    mask_together = torch.where(mask == TOOL, 1, torch.where(mask == 3, 2, mask))
    torch.testing.assert_close(
        segmentation_loss(logits, mask, channels), segmentation_loss(added, mask_together, together)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), CORPORA)
def test_no_gradient_goes_between_the_classes_of_a_set(seed: int, channels: tuple[int, ...]) -> None:
    """What a pixel of the set gives to one of its classes can go to another, and the loss stays the same."""
    logits, mask = logits_of(seed).requires_grad_(), mask_of(seed, [0, 1, 2, 3, TOOL])
    [gradient] = torch.autograd.grad(segmentation_loss(logits, mask, channels).sum(), logits)
    p, inside = logits.detach().softmax(1), mask == TOOL
    # moving mass m from class 1 to class 2 changes their logits by -m / p_1 and m / p_2
    between = gradient[:, 2] / p[:, 2] - gradient[:, 1] / p[:, 1]
    assert float(between[inside].abs().max()) < 1e-9
    shared = p[:, 1] + p[:, 2]
    half = torch.stack([p[:, 0], shared / 3, 2 * shared / 3, p[:, 3]], 1).log()
    moved = torch.where(inside.unsqueeze(1), half, logits.detach())
    torch.testing.assert_close(segmentation_loss(moved, mask, channels), segmentation_loss(logits, mask, channels))


def test_outside_of_a_set_its_classes_are_known_to_be_absent() -> None:
    """Catheter and guidewire are pushed down where the hospital saw no tool, each by itself."""
    mask = torch.zeros(1, 4, 5, dtype=torch.int64)
    mask[0, 0, 0] = TOOL
    logits = torch.zeros(1, K, 4, 5, dtype=torch.float64, requires_grad=True)
    [gradient] = torch.autograd.grad(segmentation_loss(logits, mask, (1, 2)).sum(), logits)
    assert bool((gradient[0, 1:3, 1:] > 0).all()), "descent lowers the tools outside"
    assert bool((gradient[0, 1:3, 0, 0] < 0).all()), "and raises both inside"
    assert bool((gradient[0, 3, 1:] < 0).all()), "an unlabelled class is not punished"


def test_other_images_of_a_batch_are_judged_as_ever() -> None:
    logits, mask = logits_of(0), mask_of(0, [0, 1, 2])
    mixed = mask.clone()
    mixed[1, 0, 0] = TOOL
    torch.testing.assert_close(segmentation_loss(logits, mixed, (1, 2))[0], segmentation_loss(logits, mask, (1, 2))[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), CORPORA)
def test_gradients_are_those_of_finite_differences(seed: int, channels: tuple[int, ...]) -> None:
    logits, mask = (
        logits_of(seed)[:1, :, :2, :2].requires_grad_(),
        mask_of(seed, [0, 1, TOOL, NOTHING_KNOWN])[:1, :2, :2],
    )
    assert torch.autograd.gradcheck(lambda x: segmentation_loss(x, mask, channels), (logits,))


def test_where_nothing_is_known_nothing_is_taught() -> None:
    logits = logits_of(0).requires_grad_()
    mask = mask_of(0, [0, 1, 2])
    mask[:, :, 3:] = NOTHING_KNOWN
    [gradient] = torch.autograd.grad(segmentation_loss(logits, mask, (1, 2)).sum(), logits)
    assert float(gradient[..., 3:].abs().max()) == 0
    known = segmentation_loss(logits[..., :3], mask[..., :3], (1, 2))
    torch.testing.assert_close(segmentation_loss(logits, mask, (1, 2)), known)
    nothing = torch.full_like(mask, NOTHING_KNOWN)
    assert segmentation_loss(logits, nothing, (1, 2)).tolist() == [0, 0]


def test_what_a_pixel_may_be_folds_as_probabilities_do() -> None:
    mask = torch.tensor([[[0, 1, 2, 3, TOOL, NOTHING_KNOWN]]])
    assert fold_possible(mask, (1, 2), 4)[0, :, 0].int().tolist() == [
        [1, 0, 0, 1, 0, 1],
        [0, 1, 0, 0, 1, 1],
        [0, 0, 1, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("sets", "groups"),
    [
        ([], [[1], [2], [3], [4]]),
        ([[2, 3]], [[1], [2, 3], [4]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([[1, 2], [2, 4]], [[1, 2, 4], [3]]),
        ([[3]], [[1], [2], [3], [4]]),
    ],
)
def test_sets_that_share_a_class_are_one_group(sets: list, groups: list) -> None:
    assert merge(sets, 4) == groups


def test_a_teacher_keeps_its_own_opinion_within_a_set() -> None:
    logits = logits_of(0)
    mask = torch.full((2, 4, 5), TOOL)
    p = logits.softmax(1)
    posterior = condition_on_labels(logits, mask, (1, 2)).softmax(1)
    torch.testing.assert_close(posterior[:, 1:3], p[:, 1:3] / p[:, 1:3].sum(1, keepdim=True))
    assert float(posterior[:, [0, 3]].max()) < 1e-12
    nothing = torch.full((2, 4, 5), NOTHING_KNOWN)
    torch.testing.assert_close(condition_on_labels(logits, nothing, (1, 2)).softmax(1), p)


def test_conditional_distillation_leaves_a_set_to_the_labels() -> None:
    student, teacher = logits_of(0), logits_of(1)
    teacher[:, 3] = 50.0  # the teacher sees the unlabelled class everywhere
    loss = conditional_distillation_loss(student, teacher, torch.full((2, 4, 5), TOOL), (1, 2), 1.0)
    assert loss.tolist() == [0, 0]
    mask = torch.zeros(2, 4, 5, dtype=torch.int64)
    assert float(conditional_distillation_loss(student, teacher, mask, (1, 2), 1.0).min()) > 0
