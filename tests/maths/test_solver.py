"""Certificates of optimality that need no other solver."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import OptimalTransportError
from fedefm.maths.problem import Problem, normalised
from fedefm.maths.solver import Solution, idle, optimal_plan, solve
from support.transport_problems import random_problem


def problem_with_zeros(seed: int, n: int, m: int) -> Problem:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, n)), rng.random((2, m))
    a[rng.random((2, n)) < 0.3] = 0.0
    b[rng.random((2, m)) < 0.3] = 0.0
    a[:, 0] = b[:, 0] = 1.0
    return Problem(rng.random((2, n, m)) - 0.5, a, b)


def slack(problem: Problem, solution: Solution) -> np.ndarray:
    """Reduced cost of sending from i to j, which at an optimum is not negative where either end has mass."""
    reduced = problem.cost - solution.alpha[:, :, None] - solution.beta[:, None, :]
    reduced[idle(normalised(problem.a))[:, :, None] & idle(normalised(problem.b))[:, None, :]] = 0.0
    return reduced


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_prices_certify_the_plan(seed: int, n: int, m: int) -> None:
    problem = problem_with_zeros(seed, n, m)
    solution = solve(problem)
    a, b = normalised(problem.a), normalised(problem.b)
    primal = (solution.plan * problem.cost).sum((1, 2))
    dual = (a * solution.alpha).sum(1) + (b * solution.beta).sum(1)
    np.testing.assert_allclose(primal, dual, rtol=0, atol=1e-12)
    assert slack(problem, solution).min() > -1e-12
    np.testing.assert_allclose(solution.plan.sum(2), a, rtol=0, atol=1e-12)
    np.testing.assert_allclose(solution.plan.sum(1), b, rtol=0, atol=1e-12)


def test_extreme_ratios_of_weights_are_solved() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(rng.random((40, 9, 7)), rng.random((40, 9)) ** 60, rng.random((40, 7)) ** 60)
    solution = solve(problem)
    np.testing.assert_allclose(solution.plan.sum(2), normalised(problem.a), rtol=0, atol=1e-12)
    assert slack(problem, solution).min() > -1e-12


@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_assignment_reaches_the_simplex_value(n: int) -> None:
    cost = np.random.default_rng(n).normal(size=(4, n, n))
    problem = Problem(cost, np.full((4, n), 3.0), np.full((4, n), 0.1))
    plan = optimal_plan(problem)
    np.testing.assert_allclose((plan * cost).sum((1, 2)), (solve(problem).plan * cost).sum((1, 2)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(plan.sum(1), 1 / n, rtol=1e-15)
    np.testing.assert_allclose(plan.sum(2), 1 / n, rtol=1e-15)


def test_reaching_the_iteration_cap_raises() -> None:
    problem = Problem(*(t.numpy() for t in random_problem(0, 2, 12, 15)))
    with pytest.raises(OptimalTransportError, match=r"problem 0 .* iteration cap"):
        solve(problem, max_iterations=3)


def test_a_range_of_costs_beyond_float64_raises() -> None:
    cost = np.array([[[1.5e308, -1.5e308]]])
    with pytest.raises(OptimalTransportError, match="item 0 spans more than float64"):
        solve(Problem(cost, np.ones((1, 1)), np.ones((1, 2))))
