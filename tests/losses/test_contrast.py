import math

import pytest
import torch

from fedefm.losses.contrast import contrastive_loss


def test_by_hand() -> None:
    """Cosines 0.6 to the global, 0 to the last representation; their lengths do not matter."""
    z = torch.tensor([[2.0, 0.0]])
    value = contrastive_loss(z, torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 7.0]]), 0.5)
    near, far = math.exp(0.6 / 0.5), math.exp(0.0)
    assert value.tolist() == pytest.approx([-math.log(near / (near + far))])


def test_equal_representations_cost_the_logarithm_of_two_and_give_no_gradient() -> None:
    z = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = contrastive_loss(z, z.detach(), z.detach(), 0.5)
    assert value.tolist() == pytest.approx([math.log(2)] * 3)
    value.sum().backward()
    assert z.grad is not None and float(z.grad.abs().max()) < 1e-6


def test_a_step_leads_to_the_global_and_away_from_the_last() -> None:
    z = torch.tensor([[1.0, 1.0]], requires_grad=True)
    contrastive_loss(z, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5).sum().backward()
    assert z.grad is not None and float(z.grad[0, 0]) < 0 < float(z.grad[0, 1])


def test_only_the_network_that_learns_gets_a_gradient() -> None:
    z, near, far = (torch.randn(2, 4, requires_grad=True) for _ in range(3))
    contrastive_loss(z, near, far, 0.5).sum().backward()
    assert z.grad is not None and near.grad is None and far.grad is None
