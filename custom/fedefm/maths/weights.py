"""How much each node of a feature map counts."""

import torch
from jaxtyping import Float
from torch import Tensor

from fedefm.maths.cost import as_features


def node_weights(
    u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b m"]]:
    """Cross-reference weights a_p = max(0, u_p . mean_q v_q) and b_q = max(0, v_q . mean_p u_p).

    A node counts as much as it agrees with the other map as a whole. The weights are raw: `emd` divides them by their
    sum. Features with signs, as a ViT has them, may make all weights of an item zero: no node agrees with the other
    map, so none counts more than another, and all of this item become 1.

    Args:
        u: (B,N,C) features; float16 and bfloat16 are computed in float32, also under autocast.
        v: (B,M,C) features.

    Returns:
        a (B,N) and b (B,M), float32 or float64, not negative, differentiable. NaN where a feature is.

    Raises:
        OptimalTransportError: shapes do not match.

    Source: the cross-reference mechanism of DeepEMD (Zhang et al. 2020).
    """
    u, v = as_features(u, v)
    with torch.autocast(u.device.type, enabled=False):
        a = u @ v.mean(dim=1)[:, :, None]
        b = v @ u.mean(dim=1)[:, :, None]
    return _even_if_zero(torch.relu(a.squeeze(-1))), _even_if_zero(torch.relu(b.squeeze(-1)))


def node_weights_of(dots: Float[Tensor, "b n m"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b m"]]:
    """`node_weights` of features whose dot products u_p . v_q are at hand."""
    return _even_if_zero(torch.relu(dots.mean(dim=2))), _even_if_zero(torch.relu(dots.mean(dim=1)))


def _even_if_zero(weights: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """The weights, or ones where an item has none; NaN stays."""
    return torch.where(weights.sum(dim=1, keepdim=True) == 0, torch.ones_like(weights), weights)
