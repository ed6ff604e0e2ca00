import pytest
import torch
from nvflare.app_opt.pt.fedproxloss import PTFedProxLoss

from fedefm.losses.proximal import proximal_term


def test_half_the_squared_distance_and_its_gradient_by_hand() -> None:
    w = torch.tensor([1.0, 3.0], requires_grad=True)
    b = torch.tensor([2.0], requires_grad=True)
    value = proximal_term({"w": w, "b": b}, {"w": torch.tensor([0.0, 5.0]), "b": torch.tensor([2.5]), "more": w})
    assert float(value.detach()) == pytest.approx((1 + 4 + 0.25) / 2)
    value.backward()
    assert w.grad is not None and b.grad is not None
    assert w.grad.tolist() == [1.0, -2.0] and b.grad.tolist() == [-0.5]


def test_it_is_flares_own_loss() -> None:
    torch.manual_seed(0)
    model, anchor = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    ours = 0.3 * proximal_term(dict(model.named_parameters()), dict(anchor.named_parameters()))
    torch.testing.assert_close(ours, PTFedProxLoss(mu=0.3)(model, anchor))
