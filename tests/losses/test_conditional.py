"""Conditional distillation; channels: 0 background, 1 labelled at home, 2 and 3 not."""

import pytest
import torch
from torch import Tensor

from fedefm.losses.conditional import conditional_distillation_loss


def pixels(*logits: list[float]) -> Tensor:
    """One image, a row of pixels."""
    return torch.tensor(logits).T.view(1, -1, 1, len(logits)).contiguous()


def test_one_pixel_by_hand() -> None:
    """p and q over background and two classes, given that it is not the labelled one; Dice with squares and a 1."""
    p = torch.tensor([0.5, 0.3, 0.2])
    q = torch.tensor([0.2, 0.6, 0.2])
    student = pixels([float(p[0].log()), 4.0, float(p[1].log()), float(p[2].log())])
    teacher = pixels([float(q[0].log()), -9.0, float(q[1].log()), float(q[2].log())])
    loss = conditional_distillation_loss(student, teacher, torch.zeros(1, 1, 1, dtype=torch.int64), [1], 1.0)
    dice = (2 * p * q + 1) / (p * p + q * q + 1)
    assert loss.tolist() == pytest.approx([float((1 - dice).mean())], abs=1e-6)


def test_the_temperature_divides_the_logits() -> None:
    student, teacher, mask = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), torch.zeros(2, 3, 3, dtype=torch.int64)
    sharp = conditional_distillation_loss(student, teacher, mask, [1], 0.5)
    torch.testing.assert_close(sharp, conditional_distillation_loss(2 * student, 2 * teacher, mask, [1], 1.0))


def test_pixels_of_a_labelled_class_teach_nothing() -> None:
    """Of three pixels the label takes one and the teacher's own answer another; the third alone counts."""
    teacher = pixels([0.0, 0.0, 9.0, 0.0], [0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0])
    mask = torch.tensor([[[1, 0, 0]]])
    student = torch.zeros(1, 4, 1, 3, requires_grad=True)
    conditional_distillation_loss(student, teacher, mask, [1], 1.0).sum().backward()
    assert student.grad is not None
    moved = student.grad.abs().sum((0, 1, 2))
    assert moved[0] == moved[1] == 0 < moved[2]
    assert float(student.grad[0, 1].abs().max()) == 0  # the labelled class is left to the labels
    assert float(student.grad[0, 2, 0, 2]) < 0  # towards what the teacher sees


def test_agreement_is_the_minimum_and_costs_nothing() -> None:
    teacher = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    student = teacher.clone()
    student[:, 1] += 3.0  # what it says of the labelled class does not matter
    mask = torch.zeros(2, 5, 5, dtype=torch.int64)
    assert conditional_distillation_loss(student, teacher, mask, [1], 1.0).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_where_everything_is_labelled_there_is_nothing_to_teach() -> None:
    loss = conditional_distillation_loss(
        torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5), torch.zeros(2, 5, 5, dtype=torch.int64), [1, 2, 3], 1.0
    )
    assert loss.tolist() == pytest.approx([0, 0], abs=1e-6)
