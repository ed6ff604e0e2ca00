"""The proximal term of FedProx."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def proximal_term(weights: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> Tensor:
    """Half the squared distance |w - w_0|^2 / 2 (Li et al., Federated Optimization in Heterogeneous Networks, 2020).

    Args:
        weights: the trainable tensors, by name.
        anchor: where they started; further names are ignored.
    """
    distances = [(value - anchor[name]).square().sum() for name, value in weights.items()]
    return torch.stack(distances).sum() / 2
