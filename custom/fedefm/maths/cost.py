"""What it costs to match a node of one feature map with a node of another."""

import torch
from jaxtyping import Float
from torch import Tensor

from fedefm.errors import OptimalTransportError


def cosine_cost(u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]) -> Float[Tensor, "b n m"]:
    """Cost 1 - cos(u_p, v_q) between every node of `u` and every node of `v`, in [0, 2].

    In float32 the cosine of a vector with itself can exceed 1 by 5e-7: the cost is clamped at zero. A vector that is
    (next to) zero, as a ReLU may leave it, has no direction: it costs 1 to everywhere, as if at a right angle.

    Args:
        u: (B,N,C) features of N nodes; float16 and bfloat16 are computed in float32, also under autocast.
        v: (B,M,C) features of M nodes.

    Returns:
        (B,N,M), float32 or float64, differentiable.

    Raises:
        OptimalTransportError: shapes do not match, or a feature is NaN, infinite or huge.

    Source: Eq. 3 of FedEFM (arXiv 2501.16992); DeepEMD (Zhang et al. 2020).
    """
    u, v = as_features(u, v)
    with torch.autocast(u.device.type, enabled=False):
        return cosine_cost_of(dot_products(u, v), u, v)


def as_features(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Check the shapes (B,N,C) and (B,M,C) and bring both to one dtype, float32 at least.

    Raises:
        OptimalTransportError: they do not match, or are not floating point.
    """
    if u.ndim != 3 or v.ndim != 3 or u.shape[0] != v.shape[0] or u.shape[2] != v.shape[2]:
        raise OptimalTransportError(
            f"features {tuple(u.shape)} and {tuple(v.shape)}: give (batch, N, C) and (batch, M, C)"
        )
    if 0 in u.shape or 0 in v.shape:
        raise OptimalTransportError(f"features {tuple(u.shape)} and {tuple(v.shape)}: an axis is empty")
    if not (u.is_floating_point() and v.is_floating_point()):
        raise OptimalTransportError(f"features are {u.dtype} and {v.dtype}: convert them to a floating point dtype")
    dtype = torch.promote_types(torch.promote_types(u.dtype, v.dtype), torch.float32)
    return u.to(dtype), v.to(dtype)


def dot_products(u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]) -> Float[Tensor, "b n m"]:
    """Every u_p . v_q."""
    return u @ v.mT


def cosine_cost_of(
    dots: Float[Tensor, "b n m"], u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]
) -> Float[Tensor, "b n m"]:
    """`cosine_cost` of features whose dot products are at hand."""
    # Dividing the products instead of the features passes over N M numbers, not (N + M) C.
    norm_u, norm_v = torch.linalg.vector_norm(u, dim=-1), torch.linalg.vector_norm(v, dim=-1)
    smallest = _check_norms(norm_u, norm_v)
    if smallest is None:
        return (1 - dots / (norm_u[:, :, None] * norm_v[:, None, :])).clamp_min(0)
    known = (norm_u > smallest)[:, :, None] & (norm_v > smallest)[:, None, :]
    lengths = torch.where(known, norm_u[:, :, None] * norm_v[:, None, :], 1.0)
    return torch.where(known, 1 - dots / lengths, 1.0).clamp_min(0)


def _check_norms(*norms: Tensor) -> float | None:
    """The length up to which a vector has no direction, if there is one so short; else None.

    Raises:
        OptimalTransportError: a length is NaN, infinite or so large that its square overflows.
    """
    # Squares of the features must neither overflow nor lose digits to underflow.
    info = torch.finfo(norms[0].dtype)
    smallest, largest = (info.tiny / info.eps) ** 0.5, info.max**0.5
    extremes = torch.stack([extreme for norm in norms for extreme in norm.detach().aminmax()]).tolist()
    for name, high in zip("uv", extremes[1::2], strict=True):
        if not high < largest:  # written so that a NaN fails too
            raise OptimalTransportError(
                f"features {name} hold a NaN, infinite or huge value: check the network's weights"
            )
    return None if min(extremes[::2]) > smallest else smallest
