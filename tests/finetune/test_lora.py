import pytest
import torch
from torch import nn

from fedefm.finetune.lora import add_lora, merge_lora

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), torch.randn(3, 6)),
    "convolution": (lambda: nn.Conv2d(4, 6, 3), torch.randn(2, 4, 8, 8)),
    "grouped": (lambda: nn.Conv2d(4, 8, 3, groups=4), torch.randn(2, 4, 8, 8)),
    "one by one": (lambda: nn.Conv2d(4, 6, 1), torch.randn(2, 4, 8, 8)),
}


def trained(module: nn.Module, images: torch.Tensor, rank: int) -> None:
    optimiser = torch.optim.Adam(add_lora(module, rank, alpha=4.0), lr=0.01)
    for _ in range(5):
        optimiser.zero_grad()
        module(images).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("name", LAYERS)
def test_before_training_it_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    make, images = LAYERS[name]
    module = nn.Sequential(make())
    before = module(images)
    add_lora(module, rank=2, alpha=4.0)
    assert torch.equal(module(images), before)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rank", [1, 2, 100])
def test_merged_weights_give_the_same_output_and_differ_by_the_rank(name: str, rank: int) -> None:
    torch.manual_seed(0)
    make, images = LAYERS[name]
    module = nn.Sequential(make())
    names, start = list(module.state_dict()), module[0].weight.detach().clone()
    trained(module, images, rank)
    tuned = module(images)
    merge_lora(module)
    change = (module[0].weight.detach() - start).flatten(1)
    assert set(module.state_dict()) == set(names)
    assert torch.allclose(module(images), tuned, atol=1e-6)
    assert 0 < torch.linalg.matrix_rank(change, atol=1e-5) <= min(rank, *change.shape)


def test_only_the_low_rank_factors_learn() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3))
    bias = module[0].bias.detach().clone()
    opened = add_lora(module, rank=2, alpha=2.0)
    assert sum(p.numel() for p in opened) == 2 * (3 + 2 * 9)
    trained(module, torch.randn(1, 2, 8, 8), 2)
    assert torch.equal(module[0].bias, bias)
