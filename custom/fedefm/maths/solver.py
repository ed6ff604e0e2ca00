"""Exact optimal transport of a batch of problems, in float64 on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

import numpy as np
import torch
from jaxtyping import Float64

from fedefm.errors import OptimalTransportError
from fedefm.maths.problem import Problem, normalised

MAX_ITERATIONS = 10_000_000
"""Pivots of the network simplex before it gives up; 144 x 144 nodes need fewer than 3000."""

_NOT_RUN = -1  # what remains if a thread dies
_OPTIMAL = 1
_REASONS = {
    0: "the solver found no feasible flow",
    2: "the solver found it unbounded",
    3: "the solver reached its iteration cap",
}
# Weights below this share of the total get no reliable flow, hence no reliable dual, from the solver.
_NEGLIGIBLE = 1e-14
# Elements of the cost from which starting a thread costs less than it saves (16 problems of 48 x 48 nodes).
_WORTH_A_THREAD = 36_000


@dataclass(frozen=True)
class Solution:
    """Optimal flows and prices of a `Problem`.

    Attributes:
        plan: (B,N,M) flow that costs least: not negative, rows sum to a / sum(a), columns to b / sum(b).
        alpha: (B,N) dual potentials of the rows: d value / d a, up to a constant for each item.
        beta: (B,M) dual potentials of the columns.
    """

    plan: Float64[np.ndarray, "b n m"]
    alpha: Float64[np.ndarray, "b n"]
    beta: Float64[np.ndarray, "b m"]


def optimal_plan(problem: Problem) -> Float64[np.ndarray, "b n m"]:
    """Optimal flows (B,N,M) alone: by linear assignment, which is faster, where the weights allow it.

    Raises:
        OptimalTransportError: the solver did not end at an optimum.
    """
    square = problem.cost.shape[1] == problem.cost.shape[2]
    if square and _uniform(problem.a) and _uniform(problem.b):
        return _assign(problem.cost)
    return solve(problem).plan


def _uniform(weights: np.ndarray) -> bool:
    return bool((weights == weights[:, :1]).all())


def _assign(cost: np.ndarray) -> np.ndarray:
    # Between uniform weights of equal number some optimal flow is a permutation matrix / N (Birkhoff).
    from scipy.optimize import linear_sum_assignment  # a second to import, and weights are read without it

    plan = np.zeros_like(cost)
    for flow, matrix in zip(plan, cost, strict=True):
        flow[linear_sum_assignment(matrix)] = 1 / cost.shape[-1]
    return plan


def solve(problem: Problem, max_iterations: int = MAX_ITERATIONS) -> Solution:
    """Solve every problem of the batch exactly by POT's network simplex.

    For a row without weight the solver leaves alpha undefined; here it is the c-transform
    min_j (cost_ij - beta_j), the exact price of its first bit of mass. Columns likewise.

    Raises:
        OptimalTransportError: the solver did not end at an optimum.
    """
    from ot.lp.emd_wrap import emd_c  # imported here: it takes most of a second, and a server never solves

    a, b = normalised(problem.a), normalised(problem.b)
    cost, offset, scale = _to_unit_range(problem.cost)
    solution = Solution(np.empty_like(cost), np.empty_like(a), np.empty_like(b))
    codes = [_NOT_RUN] * len(cost)

    def solve_item(i: int) -> None:
        plan, _, alpha, beta, codes[i] = emd_c(a[i], b[i], cost[i], max_iterations, 1)
        solution.plan[i], solution.alpha[i], solution.beta[i] = plan, alpha, beta

    _for_each(len(cost), solve_item, threads=_useful_threads(cost.size))
    _check_codes(codes)
    _price_idle_nodes(cost, a, b, solution)
    solution.alpha[...] = solution.alpha * scale + offset
    solution.beta[...] *= scale
    return solution


def c_transform(
    cost: Float64[np.ndarray, "b n m"], beta: Float64[np.ndarray, "b m"], b: Float64[np.ndarray, "b m"]
) -> Float64[np.ndarray, "b n m"]:
    """Price cost_ij - beta_j of sending mass from row i to column j; infinite where column j has no weight."""
    prices = cost - beta[:, None, :]
    prices[np.broadcast_to((b < _NEGLIGIBLE)[:, None, :], prices.shape)] = np.inf
    return prices


def idle(weights: Float64[np.ndarray, "b n"]) -> np.ndarray:
    """Tell which nodes of normalised weights carry (next to) no mass: (B,N) bool."""
    return weights < _NEGLIGIBLE


def _to_unit_range(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The solver's tolerance is absolute (costs of 1e-15 end at a wrong plan) and it calls negative costs infeasible.
    offset = cost.min(axis=(1, 2))
    with np.errstate(over="ignore"):
        scale = cost.max(axis=(1, 2)) - offset
    if not np.isfinite(scale).all():
        raise OptimalTransportError(f"cost of item {int(scale.argmax())} spans more than float64 holds: scale it down")
    scale[scale == 0] = 1.0
    shifted = cost - offset[:, None, None]
    shifted /= scale[:, None, None]
    return shifted, offset[:, None], scale[:, None]


def _price_idle_nodes(cost: np.ndarray, a: np.ndarray, b: np.ndarray, solution: Solution) -> None:
    # For nodes with mass the c-transform changes nothing (complementary slackness): no need to select the idle ones.
    if idle(a).any():
        solution.alpha[...] = c_transform(cost, solution.beta, b).min(axis=2)
    if idle(b).any():
        solution.beta[...] = c_transform(cost.swapaxes(1, 2), solution.alpha, a).min(axis=2)


def _check_codes(codes: list[int]) -> None:
    for item, code in enumerate(codes):
        if code != _OPTIMAL:
            reason = _REASONS.get(code, f"the solver returned code {code}")
            raise OptimalTransportError(
                f"transport problem {item} of the batch has no solution: {reason}; check its cost"
            )


def _useful_threads(elements: int) -> int:
    return torch.get_num_threads() if elements >= _WORTH_A_THREAD else 1


def _for_each(count: int, task: Callable[[int], None], threads: int) -> None:
    """Run task(0) ... task(count - 1), shared out over threads; the solver releases the interpreter's lock."""
    threads = min(threads, count)

    def run_share(first: int) -> None:
        for i in range(first, count, threads):
            task(i)

    # Threads for this call only: a pool kept between calls would be lost in a forked data loader, which then hangs.
    helpers = [Thread(target=run_share, args=(first,)) for first in range(1, threads)]
    for helper in helpers:
        helper.start()
    run_share(0)
    for helper in helpers:
        helper.join()
