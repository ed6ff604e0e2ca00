"""Similarity of feature maps: its definition, its range, its gradient, its regions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import OptimalTransportError
from fedefm.maths import cosine_cost, emd_plan, emd_similarity, node_weights, regional_similarity
from support.transport_problems import highs_value, random_features

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 8)
few = settings(max_examples=20, deadline=None)


@few
@given(SEEDS, SIZES, SIZES)
def test_is_one_minus_the_distance_that_highs_finds(seed: int, n: int, m: int) -> None:
    u, v = random_features(seed, 1, n, m, 6)
    cost, (a, b) = cosine_cost(u, v)[0], node_weights(u, v)
    expected = 1 - highs_value(cost.numpy(), a[0].numpy(), b[0].numpy())
    assert emd_similarity(u, v).item() == pytest.approx(expected, abs=1e-9)


@few
@given(SEEDS, SIZES, SIZES)
def test_features_after_a_relu_give_a_value_from_zero_to_one(seed: int, n: int, m: int) -> None:
    u, v = (t.float() for t in random_features(seed, 3, n, m, 6))
    similarity = emd_similarity(u, v)
    assert similarity.dtype == torch.float32
    assert ((similarity > 0) & (similarity <= 1)).all()
    torch.testing.assert_close(similarity, emd_similarity(v, u))


def test_the_same_features_in_any_order_are_fully_similar() -> None:
    u, _ = random_features(0, 2, 9, 1, 6)
    shuffled = u[:, torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(emd_similarity(u, shuffled), torch.ones(2).double())
    torch.testing.assert_close(regional_similarity(u, shuffled), torch.ones(2, 9).double())


def test_a_distant_teacher_scores_below_a_near_one() -> None:
    u, noise = random_features(1, 4, 8, 8, 16)
    scores = [emd_similarity(u, u + strength * noise) for strength in (0.01, 0.3, 3.0)]
    assert (scores[0] > scores[1]).all()
    assert (scores[1] > scores[2]).all()


@pytest.mark.parametrize(("n", "m"), [(3, 4), (5, 2), (1, 3)])
def test_gradients_pass_through_cost_and_weights(n: int, m: int) -> None:
    u, v = (t.requires_grad_() for t in random_features(2, 2, n, m, 5))
    assert torch.autograd.gradcheck(emd_similarity, (u, v), atol=1e-6)


def test_gradients_hold_for_features_with_signs_and_idle_nodes() -> None:
    u, v = (t - 0.35 for t in random_features(3, 1, 6, 5, 4))
    a, b = node_weights(u, v)
    assert (a == 0).any() or (b == 0).any()
    assert torch.autograd.gradcheck(emd_similarity, (u.requires_grad_(), v.requires_grad_()), atol=1e-6)


def test_a_negative_similarity_is_clamped_at_zero() -> None:
    # Features with signs: node 0 of u has all of u's weight, node 0 of v all of v's, and they point apart.
    u = torch.tensor([[[1.0, 0.0], [-0.5, 2.0]]], dtype=torch.float64)
    v = torch.tensor([[[-0.1, 1.0], [3.0, -5.0]]], dtype=torch.float64)
    cost, weights = cosine_cost(u, v), node_weights(u, v)
    raw = ((1 - cost) * emd_plan(cost, *weights)).sum()
    assert raw.item() < -0.01
    u.requires_grad_()
    similarity = emd_similarity(u, v)
    assert similarity.item() == 0
    assert torch.autograd.grad(similarity.sum(), u)[0].abs().max() == 0
    assert regional_similarity(u, v).min() >= 0


def test_features_that_point_away_from_each_other_are_as_far_as_can_be() -> None:
    """No node agrees with the other map, so all count alike; a ViT's features, which have signs, come to this."""
    u, _ = random_features(4, 2, 3, 1, 5)
    assert not emd_similarity(u, -u).any() and not regional_similarity(u, -u).any()
    a, b = node_weights(u, -u)
    assert torch.equal(a, torch.ones_like(a)) and torch.equal(b, torch.ones_like(b))


def test_a_dead_network_is_at_a_right_angle_to_every_other() -> None:
    u, _ = random_features(4, 2, 3, 1, 5)
    assert not emd_similarity(u, torch.zeros_like(u)).any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_corrupt_teacher_raises_instead_of_scoring_one(bad: float) -> None:
    u, v = random_features(5, 2, 3, 4, 5)
    v[1, 2, 0] = bad
    for function in (emd_similarity, regional_similarity):
        with pytest.raises(OptimalTransportError, match="features v hold a NaN"):
            function(u, v)


@few
@given(SEEDS, SIZES, SIZES)
def test_regions_average_to_the_whole(seed: int, n: int, m: int) -> None:
    u, v = random_features(seed, 2, n, m, 6)
    a, _ = node_weights(u, v)
    regions = regional_similarity(u, v)
    assert ((regions >= 0) & (regions <= 1)).all()
    mean = (a / a.sum(1, keepdim=True) * regions).sum(1)
    torch.testing.assert_close(mean, emd_similarity(u, v), rtol=0, atol=1e-12)


def test_regions_follow_their_definition() -> None:
    u, v = random_features(6, 2, 4, 5, 6)
    cost, (a, b) = cosine_cost(u, v), node_weights(u, v)
    expected = ((1 - cost) * emd_plan(cost, a, b)).sum(2) / (a / a.sum(1, keepdim=True))
    torch.testing.assert_close(regional_similarity(u, v), expected, rtol=0, atol=1e-12)


def test_the_region_that_differs_stands_out() -> None:
    u, noise = random_features(7, 1, 12, 12, 16)
    v = u.clone()
    v[0, 3] = noise[0, 3]
    regions = regional_similarity(u, v)[0]
    assert regions.argmin() == 3


@pytest.mark.parametrize("seed", [0, 1, 3, 16, 38])  # in all but 1 the nearest column is not the one that takes it
def test_a_node_without_weight_gets_the_limit_of_a_vanishing_weight(seed: int) -> None:
    u, v = random_features(seed, 1, 4, 5, 6)
    v = v - 0.3
    direction = v[0].mean(0)
    across = u[0, 0] - (u[0, 0] @ direction) / (direction @ direction) * direction
    away, leaning = u.clone(), u.clone()
    away[0, 0], leaning[0, 0] = across - 1e-8 * direction, across + 1e-8 * direction
    assert node_weights(away, v)[0][0, 0] == 0
    assert node_weights(leaning, v)[0][0, 0] > 0
    limit = regional_similarity(leaning, v)
    assert limit[0, 0] > 0.01
    torch.testing.assert_close(regional_similarity(away, v), limit, rtol=0, atol=1e-6)


def test_regions_are_detached_and_in_the_dtype_of_the_features() -> None:
    u, v = (t.float().requires_grad_() for t in random_features(9, 1, 3, 4, 5))
    regions = regional_similarity(u, v)
    assert not regions.requires_grad
    assert regions.dtype == torch.float32
    assert regional_similarity(u.double(), v.double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_compared_in_single_precision(dtype: torch.dtype) -> None:
    u, v = (t.to(dtype).requires_grad_() for t in random_features(10, 2, 6, 5, 64))
    similarity = emd_similarity(u, v)
    assert torch.equal(similarity, emd_similarity(u.float(), v.float()))
    assert torch.autograd.grad(similarity.sum(), u)[0].dtype == dtype


def test_the_same_features_give_the_same_bits() -> None:
    u, v = (t.float().requires_grad_() for t in random_features(11, 16, 49, 49, 32))
    runs = [(s := emd_similarity(u, v), *torch.autograd.grad(s.sum(), (u, v))) for _ in range(3)]
    for run in runs[1:]:
        assert all(np.array_equal(x.detach(), y.detach()) for x, y in zip(run, runs[0], strict=True))


def test_a_long_node_counts_more() -> None:
    """Two nodes, one of them ten times as long and alike in both maps: cross-references favour it."""
    u = torch.tensor([[[10.0, 0.0], [0.0, 1.0]]])
    v = torch.tensor([[[10.0, 0.0], [1.0, 0.0]]])
    assert float(emd_similarity(u, v)) > 0.9  # were all nodes alike it would be 0.5: the second has nothing like it
