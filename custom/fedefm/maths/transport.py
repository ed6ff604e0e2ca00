"""The Earth Mover's Distance as one exact, batched, once differentiable operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fedefm.errors import OptimalTransportError
from fedefm.maths.problem import Problem, check_shapes, normalised
from fedefm.maths.solver import optimal_plan, solve


def emd(
    cost: Float[Tensor, "b n m"], a: Float[Tensor, "b n"] | None = None, b: Float[Tensor, "b m"] | None = None
) -> Float[Tensor, " b"]:
    """Earth Mover's Distance min_x sum_ij cost_ij x_ij over flows x >= 0 with row sums a and column sums b.

    Solved exactly in float64 on the CPU and differentiated by the envelope theorem, so a value is exact and so is its
    gradient: d/d cost = x*, d/d a = (alpha - <a', alpha>) / sum(a) with a' = a / sum(a) and alpha the dual potential.
    Where the optimum is not unique (as with equal weights) the gradient is one element of the subdifferential; at a
    weight of zero it is the derivative towards positive weight. Differentiable once.

    Args:
        cost: (B,N,M) finite cost of moving a unit from i to j; N and M may differ, and it may be negative.
        a: (B,N) raw weights, not negative, any positive sum (divided by it here); uniform when None.
        b: (B,M) the same for the columns.

    Returns:
        (B,) on the device of `cost`: float64 if any argument is, float32 otherwise (float16 and bfloat16 too). The
        gradient for an argument has that argument's dtype.

    Raises:
        OptimalTransportError: wrong shapes, an empty, integer, NaN or infinite argument, a negative weight, weights
            that are all zero, or a solver that does not reach the optimum.

    Source: Danskin's envelope theorem (1967); the network simplex of POT (Bonneel et al. 2011).
    """
    _check_tensors(cost, a, b)
    return _EarthMoversDistance.apply(cost, a, b)


def emd_plan(
    cost: Float[Tensor, "b n m"], a: Float[Tensor, "b n"] | None = None, b: Float[Tensor, "b m"] | None = None
) -> Float[Tensor, "b n m"]:
    """Optimal flow of `emd`, detached: rows sum to a / sum(a), columns to b / sum(b).

    Arguments, dtype, device and errors are those of `emd`.
    """
    _check_tensors(cost, a, b)
    plan = optimal_plan(to_problem(cost, a, b))
    return to_device([plan], like=cost, dtype=_result_dtype(cost, a, b))[0]


class _EarthMoversDistance(torch.autograd.Function):
    """Value in the forward pass together with the gradients, which the optimum gives at no cost."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        problem = to_problem(cost, a, b)
        plan, slopes = _plan_and_slopes(problem, any(ctx.needs_input_grad[1:]))
        value = np.einsum("bnm,bnm->b", plan, problem.cost)
        result, *gradients = to_device([value, plan, *slopes], like=cost, dtype=_result_dtype(cost, a, b))
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if t is None else t.dtype for t in (cost, a, b)]
        # A copy, so that changing the value in place cannot reach the gradients that share its buffer.
        return result.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor | None] = [None, None, None]
        for k, slope in enumerate(ctx.saved_tensors):
            if ctx.needs_input_grad[k]:
                gradients[k] = (slope * grad.reshape(-1, *[1] * (slope.ndim - 1))).to(ctx.dtypes[k])
        return tuple(gradients)


def _plan_and_slopes(problem: Problem, with_slopes: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    if not with_slopes:
        return optimal_plan(problem), []
    solution = solve(problem)
    return solution.plan, [_slope(problem.a, solution.alpha), _slope(problem.b, solution.beta)]


def _slope(weights: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """Derivative of the value by raw weights: the dual potential taken through the normalisation."""
    mean = (normalised(weights) * dual).sum(axis=1, keepdims=True)
    return (dual - mean) / weights.sum(axis=1, keepdims=True)


def to_problem(cost: Tensor, a: Tensor | None, b: Tensor | None) -> Problem:
    """Copy the arguments of `emd` to the host, in one transfer, and check their values."""
    batch, n, m = cost.shape
    given = [t for t in (cost, a, b) if t is not None]
    arrays = iter(_to_host(given, _result_dtype(*given)))
    return Problem(
        next(arrays),
        np.ones((batch, n)) if a is None else next(arrays),
        np.ones((batch, m)) if b is None else next(arrays),
    )


def _to_host(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[np.ndarray]:
    packed = torch.cat([t.detach().reshape(-1).to(dtype) for t in tensors]).cpu().to(torch.float64)
    parts = packed.split([t.numel() for t in tensors])
    return [part.view(t.shape).numpy() for t, part in zip(tensors, parts, strict=True)]


def to_device(arrays: Sequence[np.ndarray], like: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Copy arrays to the device of `like` in one transfer; the results share one buffer."""
    packed = torch.cat([torch.from_numpy(array).reshape(-1).to(dtype) for array in arrays]).to(like.device)
    parts = packed.split([array.size for array in arrays])
    return [part.view(array.shape) for array, part in zip(arrays, parts, strict=True)]


def _result_dtype(*tensors: Tensor | None) -> torch.dtype:
    single = all(t is None or t.dtype != torch.float64 for t in tensors)
    return torch.float32 if single else torch.float64


def _check_tensors(cost: Tensor, a: Tensor | None, b: Tensor | None) -> None:
    for name, tensor in (("cost", cost), ("a", a), ("b", b)):
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise OptimalTransportError(f"{name} has dtype {tensor.dtype}: convert it to a floating point one")
        if tensor.device != cost.device:
            raise OptimalTransportError(f"{name} is on {tensor.device} but cost on {cost.device}: move it there")
    batch, n, m = cost.shape if cost.ndim == 3 else (0, 0, 0)
    check_shapes(cost.shape, (batch, n) if a is None else a.shape, (batch, m) if b is None else b.shape)
