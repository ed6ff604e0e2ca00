"""How close two networks are on one batch, by the Earth Mover's Distance between their features."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fedefm.maths.cost import as_features, cosine_cost_of, dot_products
from fedefm.maths.problem import Problem, normalised
from fedefm.maths.solver import Solution, c_transform, idle, solve
from fedefm.maths.transport import emd, to_device, to_problem
from fedefm.maths.weights import node_weights_of


def emd_similarity(u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]) -> Float[Tensor, " b"]:
    """Similarity s = sum_pq (1 - cost_pq) x*_pq of two feature maps, in [0, 1]; 1 means the same features.

    The cost is `cosine_cost`, the weights are `node_weights`, x* is the optimal flow. As the flow sums to 1, s is
    1 - `emd`. Features with signs can give s < 0, which as a factor of a loss would climb instead of descend: s is
    clamped at zero, where its gradient is zero too. Gradients through cost and weights are exact; once differentiable.

    Args:
        u: (B,N,C) the student's features, one row a node.
        v: (B,M,C) the teacher's features of the same images.

    Returns:
        (B,), float64 for float64 features, float32 otherwise.

    Raises:
        OptimalTransportError: features that `cosine_cost` refuses, or whose weights are all zero.

    Source: Eq. 3 of FedEFM (arXiv 2501.16992).
    """
    cost, a, b = _compare(u, v)
    return (1 - emd(cost, a, b)).clamp_min(0)


@torch.no_grad()
def regional_similarity(u: Float[Tensor, "b n c"], v: Float[Tensor, "b m c"]) -> Float[Tensor, "b n"]:
    """Similarity s_p = sum_q (1 - cost_pq) x*_pq / a_p of each node of `u` with what flows from it, in [0, 1].

    The mean of s_p weighted by a is `emd_similarity` (before clamping). A node without weight sends nothing: it gets
    the limit of s_p for a vanishing weight, 1 - cost_pq at the column q that would take its first bit of mass, so that
    s_p is continuous in the weights. Negative values (features with signs) are clamped at zero. Detached.

    Arguments, dtype and errors are those of `emd_similarity`.
    """
    cost, a, b = _compare(u, v)
    problem = to_problem(cost, a, b)
    return to_device([_agreement(problem, solve(problem))], like=cost, dtype=cost.dtype)[0]


def _compare(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`cosine_cost` and `node_weights` from one matrix product."""
    u, v = as_features(u, v)
    with torch.autocast(u.device.type, enabled=False):
        dots = dot_products(u, v)
        return cosine_cost_of(dots, u, v), *node_weights_of(dots)


def _agreement(problem: Problem, solution: Solution) -> Float64[np.ndarray, "b n"]:
    sent = solution.plan.sum(axis=2)
    cost = np.einsum("bnm,bnm->bn", solution.plan, problem.cost)
    resting = idle(normalised(problem.a))
    cost = np.where(resting, _first_cost(problem, solution), cost / np.where(resting, 1.0, sent))
    return (1 - cost).clip(0, 1)


def _first_cost(problem: Problem, solution: Solution) -> Float64[np.ndarray, "b n"]:
    cheapest = c_transform(problem.cost, solution.beta, normalised(problem.b)).argmin(axis=2)
    return np.take_along_axis(problem.cost, cheapest[:, :, None], axis=2)[:, :, 0]
