"""Low-rank changes of frozen weights (Hu et al., LoRA, ICLR 2022), for linear and convolutional layers.

Our own few lines instead of peft: peft is well kept (Apache-2) but brings transformers, accelerate and huggingface_hub,
which fetch things over the network, to every hospital; torch's own parametrisations do what is needed here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """W + scale * (up @ down), with W seen as a matrix of one row an output channel; at first it is W itself.

    Args:
        weight: of a linear layer or a convolution of any kernel.
        rank: of the change; at most that of the weight.
        scale: factor of the change.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float):
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank = min(rank, rows, columns)
        self.scale = scale
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add_lora(module: nn.Module, rank: int, alpha: float) -> list[nn.Parameter]:
    """Freeze a module and give every linear and convolutional layer in it a low-rank change.

    Draws from torch's global generator: seed it first.

    Returns:
        The parameters to train.
    """
    module.requires_grad_(False)
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    for layer in layers:
        change = LowRank(layer.weight, rank, alpha / rank).to(layer.weight.device)
        parametrize.register_parametrization(layer, "weight", change)
    return [p for p in module.parameters() if p.requires_grad]


def merge_lora(module: nn.Module) -> None:
    """Add the changes to the weights for good: the state dict is again that of the plain network."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
