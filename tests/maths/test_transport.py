"""Laws and oracles of the Earth Mover's Distance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor

from fedefm.errors import OptimalTransportError
from fedefm.maths import emd, emd_plan
from support.transport_problems import highs_value, random_problem

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 9)
few = settings(max_examples=25, deadline=None)


def normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


@few
@given(SEEDS, SIZES, SIZES)
def test_value_is_that_of_highs(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 2, n, m)
    expected = [highs_value(cost[i].numpy(), a[i].numpy(), b[i].numpy()) for i in range(2)]
    np.testing.assert_allclose(emd(cost, a, b).numpy(), expected, rtol=0, atol=1e-9)


def test_value_is_that_of_highs_at_the_size_of_a_feature_map() -> None:
    cost, a, b = random_problem(0, 1, 49, 64)
    expected = highs_value(cost[0].numpy(), a[0].numpy(), b[0].numpy())
    assert emd(cost, a, b).item() == pytest.approx(expected, abs=1e-9)


@few
@given(SEEDS, SIZES, SIZES)
def test_plan_is_a_flow_with_the_value_as_its_cost(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 3, n, m)
    plan = emd_plan(cost, a, b)
    assert plan.min() >= 0
    torch.testing.assert_close(plan.sum(2), normalised(a), rtol=0, atol=1e-12)
    torch.testing.assert_close(plan.sum(1), normalised(b), rtol=0, atol=1e-12)
    torch.testing.assert_close((plan * cost).sum((1, 2)), emd(cost, a, b), rtol=0, atol=1e-12)


@few
@given(SEEDS, SIZES, SIZES)
def test_value_lies_between_the_relaxed_bound_and_the_product_coupling(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 2, n, m)
    value, a, b = emd(cost, a, b), normalised(a), normalised(b)
    below = torch.maximum((a * cost.amin(2)).sum(1), (b * cost.amin(1)).sum(1))
    above = torch.einsum("bn,bnm,bm->b", a, cost, b)
    assert (below <= value + 1e-12).all()
    assert (value <= above + 1e-12).all()


@few
@given(SEEDS, SIZES, SIZES)
def test_one_dimensional_value_is_that_of_sorting(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, a, b = rng.normal(size=n), rng.normal(size=m), 0.1 + rng.random(n), 0.1 + rng.random(m)
    cost = torch.tensor(abs(x[:, None] - y))[None]
    weighted = emd(cost, torch.tensor(a)[None], torch.tensor(b)[None]).item()
    assert weighted == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-12)
    assert emd(cost).item() == pytest.approx(wasserstein_distance(x, y), abs=1e-12)


@few
@given(SEEDS, st.integers(1, 12))
def test_a_shift_costs_its_squared_length(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((1, n, 3), generator=generator, dtype=torch.float64)
    a = 0.1 + torch.rand((1, n), generator=generator, dtype=torch.float64)
    shift = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
    cost = torch.cdist(x, x + shift, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    expected = (shift**2).sum().item()
    assert emd(cost).item() == pytest.approx(expected, abs=1e-12)
    assert emd(cost, a, a).item() == pytest.approx(expected, abs=1e-12)


@few
@given(SEEDS, st.integers(1, 12))
def test_a_permutation_of_a_set_costs_nothing_and_is_recovered(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((1, n, 3), generator=generator, dtype=torch.float64)
    order = torch.randperm(n, generator=generator)
    cost = torch.cdist(x, x[:, order], compute_mode="donot_use_mm_for_euclid_dist")
    assert emd(cost).item() == 0
    expected = torch.zeros(1, n, n, dtype=torch.float64)
    expected[0, order, torch.arange(n)] = 1 / n
    assert torch.equal(emd_plan(cost), expected)


@few
@given(SEEDS, SIZES)
def test_one_node_sends_to_each_its_share(seed: int, m: int) -> None:
    cost, a, b = random_problem(seed, 2, 1, m)
    expected = (cost[:, 0] * normalised(b)).sum(1)
    torch.testing.assert_close(emd(cost, a, b), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(emd(cost.mT, b, a), expected, rtol=0, atol=1e-13)


@few
@given(SEEDS, SIZES, SIZES)
def test_exchanging_the_sets_changes_nothing(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 2, n, m)
    torch.testing.assert_close(emd(cost, a, b), emd(cost.mT, b, a), rtol=0, atol=1e-13)


@few
@given(SEEDS, SIZES, SIZES)
def test_renumbering_the_nodes_renumbers_the_plan(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 1, n, m)
    generator = torch.Generator().manual_seed(seed)
    i, j = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator)
    renumbered = cost[:, i][:, :, j], a[:, i], b[:, j]
    torch.testing.assert_close(emd_plan(*renumbered), emd_plan(cost, a, b)[:, i][:, :, j], rtol=0, atol=1e-12)


@few
@given(SEEDS, st.floats(1e-12, 1e12), st.floats(1e-12, 1e12))
def test_the_scale_of_the_weights_does_not_matter(seed: int, scale_a: float, scale_b: float) -> None:
    cost, a, b = random_problem(seed, 2, 4, 6)
    torch.testing.assert_close(emd(cost, scale_a * a, scale_b * b), emd(cost, a, b), rtol=0, atol=1e-13)


@pytest.mark.parametrize("difference", [1e-6, 1e-5, 1.0])
def test_weights_whose_sums_differ_are_each_normalised(difference: float) -> None:
    cost, a, b = random_problem(5, 1, 4, 6)
    a, b = normalised(a), normalised(b) * (1 + difference)
    expected = highs_value(cost[0].numpy(), a[0].numpy(), b[0].numpy())
    assert emd(cost, a, b).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-17, 1e-7, 1e9, 1e200])
@pytest.mark.parametrize("offset", [-3.0, 0.0, 0.5])
def test_value_follows_scale_and_offset_of_the_cost(scale: float, offset: float) -> None:
    # The solver alone is 10 % off at 1e-15 and calls negative costs infeasible.
    cost, a, b = random_problem(1, 1, 20, 30)
    expected = (emd(cost, a, b) + offset) * scale
    torch.testing.assert_close(emd((cost + offset) * scale, a, b), expected, rtol=1e-12, atol=0)


def test_a_constant_cost_is_the_value() -> None:
    _, a, b = random_problem(1, 1, 3, 5)
    for constant in (0.0, 0.7):
        cost = torch.full((1, 3, 5), constant, dtype=torch.float64)
        assert emd(cost, a, b).item() == pytest.approx(constant, abs=1e-15)


def test_equal_weights_given_or_left_out_are_the_same() -> None:
    for n, m in ((6, 6), (4, 6)):
        cost, _, _ = random_problem(2, 3, n, m)
        a, b = torch.full((3, n), 2.0, dtype=torch.float64), torch.full((3, m), 0.5, dtype=torch.float64)
        torch.testing.assert_close(emd(cost, a, b), emd(cost), rtol=0, atol=1e-13)
        torch.testing.assert_close(emd(cost, a.requires_grad_(), b), emd(cost), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("n", "m"), [(3, 5), (5, 3), (1, 4), (4, 4)])
def test_gradients_are_those_of_finite_differences(n: int, m: int) -> None:
    problem = [t.requires_grad_() for t in random_problem(3, 2, n, m)]
    assert torch.autograd.gradcheck(emd, problem, atol=1e-7)
    assert torch.autograd.gradcheck(lambda cost: emd(cost), problem[:1], atol=1e-7)
    assert torch.autograd.gradcheck(lambda b: emd(problem[0].detach(), None, b), problem[2:], atol=1e-7)


@few
@given(SEEDS, st.integers(2, 7), st.integers(2, 7))
def test_gradient_at_zero_weights_is_the_slope_towards_positive_weight(seed: int, n: int, m: int) -> None:
    cost, a, b = random_problem(seed, 1, n, m)
    a[0, 0] = b[0, -1] = 0.0
    a.requires_grad_(), b.requires_grad_()
    grad_a, grad_b = torch.autograd.grad(emd(cost, a, b).sum(), (a, b))
    step, value = 1e-8, emd(cost, a, b).item()
    for weights, grad, k in ((a, grad_a, 0), (b, grad_b, -1)):
        moved = weights.detach().clone()
        moved[0, k] = step
        ahead = emd(cost, moved, b) if weights is a else emd(cost, a, moved)
        assert grad[0, k].item() == pytest.approx((ahead.item() - value) / step, abs=1e-6)


@few
@given(SEEDS)
def test_gradient_at_degenerate_weights_is_a_subgradient(seed: int) -> None:
    # On weights of sum 1 the value is convex, so no other point may lie under the tangent.
    cost, other, _ = random_problem(seed, 1, 5, 5)
    a, b = torch.full((2, 1, 5), 0.2, dtype=torch.float64)
    a.requires_grad_()
    value = emd(cost, a, b)
    (slope,) = torch.autograd.grad(value.sum(), a)
    tangent = value + (slope * (normalised(other) - a)).sum()
    assert emd(cost, normalised(other), b).item() >= tangent.item() - 1e-12
    assert (slope * a).sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_dtypes_are_solved_in_double_precision(dtype: torch.dtype) -> None:
    problem = [t.to(dtype).requires_grad_() for t in random_problem(4, 2, 20, 30)]
    exact = [t.detach().double().requires_grad_() for t in problem]
    value, expected = emd(*problem), emd(*exact)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected.float())
    gradients = torch.autograd.grad(value.sum(), problem)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected.sum(), exact), strict=True):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs.float().to(dtype))
    assert torch.equal(emd_plan(*problem), emd_plan(*exact).float())


def test_one_double_argument_makes_the_result_double() -> None:
    cost, a, b = random_problem(4, 2, 3, 4)
    assert emd(cost.float(), a, b).dtype == torch.float64
    assert emd_plan(cost.float(), a.float(), b).dtype == torch.float64


def test_a_gradient_arrives_scaled_for_each_item() -> None:
    cost, a, b = random_problem(6, 3, 4, 5)
    factors = torch.tensor([2.0, 0.0, -0.5], dtype=torch.float64)
    (grad,) = torch.autograd.grad((factors * emd(cost.requires_grad_(), a, b)).sum(), cost)
    torch.testing.assert_close(grad, factors[:, None, None] * emd_plan(cost, a, b))


def test_the_plan_is_detached() -> None:
    cost, a, b = random_problem(6, 1, 4, 5)
    assert not emd_plan(cost.requires_grad_(), a, b).requires_grad


def test_a_second_derivative_is_refused() -> None:
    cost, a, b = random_problem(6, 1, 4, 5)
    (grad,) = torch.autograd.grad((emd(cost.requires_grad_(), a, b) ** 2).sum(), cost, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_changing_the_result_in_place_leaves_the_gradient_alone() -> None:
    cost, a, b = random_problem(6, 2, 4, 5)
    (grad,) = torch.autograd.grad(emd(cost.requires_grad_(), a, b).mul_(3).sum(), cost)
    torch.testing.assert_close(grad, 3 * emd_plan(cost, a, b))


@pytest.mark.parametrize("weighted", [True, False])
def test_bits_do_not_depend_on_threads_or_memory_layout(weighted: bool) -> None:
    cost, a, b = random_problem(7, 16, 64, 64)
    weights = (a, b) if weighted else ()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = emd(cost, *weights), emd_plan(cost, *weights)
        torch.set_num_threads(3)
        strided = cost.mT.contiguous().mT
        for _ in range(3):
            assert torch.equal(emd(strided, *weights), expected[0])
            assert torch.equal(emd_plan(strided, *weights), expected[1])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("argument", ["cost", "a", "b"])
def test_a_value_that_is_not_finite_raises(argument: str, bad: float) -> None:
    problem = dict(zip(("cost", "a", "b"), random_problem(8, 3, 4, 5), strict=True))
    problem[argument][1].view(-1)[2] = bad
    for function in (emd, emd_plan):
        with pytest.raises(OptimalTransportError, match=rf"{argument} of item 1 "):
            function(**problem)


def test_a_row_of_nan_raises() -> None:
    cost, a, b = random_problem(8, 2, 4, 5)
    cost[0, 3] = math.nan
    with pytest.raises(OptimalTransportError, match="cost of item 0 "):
        emd(cost)
    with pytest.raises(OptimalTransportError, match="cost of item 0 "):
        emd(cost, a, b)


@pytest.mark.parametrize("argument", ["a", "b"])
def test_a_negative_weight_raises(argument: str) -> None:
    problem = dict(zip(("cost", "a", "b"), random_problem(8, 3, 4, 5), strict=True))
    problem[argument][2, 1] = -1e-9
    with pytest.raises(OptimalTransportError, match=f"weights {argument} of item 2 hold a negative value"):
        emd(**problem)


@pytest.mark.parametrize("zero", [["a"], ["b"], ["a", "b"]])
def test_weights_that_are_all_zero_raise(zero: list[str]) -> None:
    problem = dict(zip(("cost", "a", "b"), random_problem(8, 3, 4, 5), strict=True))
    for argument in zero:
        problem[argument][1] = 0.0
    with pytest.raises(OptimalTransportError, match=f"weights {zero[0]} of item 1 are all zero"):
        emd(**problem)


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0), (0, 0, 0)])
def test_an_empty_problem_raises(shape: tuple[int, int, int]) -> None:
    for function in (emd, emd_plan):
        with pytest.raises(OptimalTransportError, match="at least one element"):
            function(torch.zeros(shape))


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("argument", ["cost", "a", "b"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_a_dtype_that_is_not_real_raises(argument: str, dtype: torch.dtype) -> None:
    problem = dict(zip(("cost", "a", "b"), random_problem(8, 2, 4, 5), strict=True))
    problem[argument] = problem[argument].to(dtype)
    with pytest.raises(OptimalTransportError, match=f"{argument} has dtype"):
        emd(**problem)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("cost", "a", "b"),
    [((4, 5), (4,), (5,)), ((2, 4, 5), (2, 5), (2, 4)), ((2, 4, 5), (1, 4), (2, 5)), ((2, 4, 5), (2, 4), (5,))],
)
def test_shapes_that_do_not_match_raise(cost: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(OptimalTransportError, match="shape"):
        emd(torch.ones(cost), torch.ones(a), torch.ones(b))


def test_arguments_on_different_devices_raise() -> None:
    cost, a, b = random_problem(8, 2, 4, 5)
    with pytest.raises(OptimalTransportError, match="b is on meta"):
        emd(cost, a, b.to("meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_values_of_the_cpu() -> None:
    here = [t.requires_grad_() for t in random_problem(9, 4, 20, 30)]
    there = [t.detach().cuda().requires_grad_() for t in here]
    torch.testing.assert_close(emd(*there).cpu(), emd(*here))
    gradients = torch.autograd.grad(emd(*there).sum(), there)
    for ours, theirs in zip(gradients, torch.autograd.grad(emd(*here).sum(), here), strict=True):
        assert ours.is_cuda
        torch.testing.assert_close(ours.cpu(), theirs)
