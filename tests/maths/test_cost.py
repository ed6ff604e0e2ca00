"""The cosine cost against its definition, and the features it must refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import OptimalTransportError
from fedefm.maths import cosine_cost
from support.transport_problems import random_features


def test_is_one_minus_the_cosine_of_each_pair() -> None:
    u, v = (t - 0.5 for t in random_features(0, 2, 3, 5, 7))
    cost = cosine_cost(u, v)
    for item, p, q in np.ndindex(2, 3, 5):
        x, y = u[item, p].numpy(), v[item, q].numpy()
        expected = 1 - x @ y / math.sqrt((x @ x) * (y @ y))
        assert cost[item, p, q].item() == pytest.approx(expected, abs=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_same_features_cost_nothing_and_never_less(seed: int, dtype: torch.dtype) -> None:
    u = random_features(seed, 1, 16, 1, 64)[0].to(dtype)
    cost = cosine_cost(u, u)
    assert cost.dtype == torch.float32
    assert cost.min() >= 0
    assert cost.diagonal(dim1=1, dim2=2).max() < 2e-6


def test_opposite_features_cost_two() -> None:
    u, _ = random_features(1, 1, 4, 1, 8)
    torch.testing.assert_close(cosine_cost(u, -u).diagonal(dim1=1, dim2=2), torch.full((1, 4), 2.0).double())


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e12])
def test_length_of_a_feature_does_not_matter(scale: float) -> None:
    u, v = (t.float() for t in random_features(2, 2, 3, 5, 64))
    torch.testing.assert_close(cosine_cost(scale * u, v), cosine_cost(u, v), rtol=0, atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    u, v = (t.requires_grad_() for t in random_features(3, 2, 3, 4, 5))
    assert torch.autograd.gradcheck(cosine_cost, (u, v))


def test_half_precision_features_lose_nothing_more() -> None:
    u, v = (t.half().requires_grad_() for t in random_features(4, 2, 6, 5, 512))
    cost = cosine_cost(u, v)
    assert torch.equal(cost, cosine_cost(u.float(), v.float()))
    assert torch.autograd.grad(cost.sum(), u)[0].dtype == torch.float16


def test_autocast_does_not_shorten_the_products() -> None:
    u, v = (t.float() for t in random_features(4, 2, 6, 5, 512))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cosine_cost(u, v)
    assert torch.equal(inside, cosine_cost(u, v))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("culprit", ["u", "v"])
def test_a_feature_that_is_not_finite_raises(culprit: str, bad: float) -> None:
    features = dict(zip("uv", (t.float() for t in random_features(5, 2, 3, 4, 5)), strict=True))
    features[culprit][1, 2, 3] = bad
    with pytest.raises(OptimalTransportError, match=f"features {culprit} hold a NaN"):
        cosine_cost(**features)


@pytest.mark.parametrize("length", [0.0, 1e-25])
@pytest.mark.parametrize("culprit", ["u", "v"])
def test_a_feature_without_direction_costs_one_and_changes_nothing_else(culprit: str, length: float) -> None:
    features = dict(zip("uv", (t.float() for t in random_features(5, 2, 3, 4, 5)), strict=True))
    expected = cosine_cost(**features)
    features[culprit][0, 1] = length
    features[culprit].requires_grad_()
    if culprit == "u":
        expected[0, 1] = 1
    else:
        expected[0, :, 1] = 1
    found = cosine_cost(**features)
    assert torch.equal(found, expected)
    found.sum().backward()
    gradient = features[culprit].grad
    assert gradient is not None and gradient.isfinite().all() and not gradient[0, 1].any()


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("u", "v"), [((3, 5), (4, 5)), ((2, 3, 5), (1, 4, 5)), ((2, 3, 5), (2, 4, 6)), ((2, 0, 5), (2, 4, 5))]
)
def test_shapes_that_do_not_match_raise(u: tuple[int, ...], v: tuple[int, ...]) -> None:
    with pytest.raises(OptimalTransportError, match="features"):
        cosine_cost(torch.ones(u), torch.ones(v))


@pytest.mark.usefixtures("untyped")
def test_integer_features_raise() -> None:
    with pytest.raises(OptimalTransportError, match=r"torch\.int64"):
        cosine_cost(torch.ones((1, 2, 3)), torch.ones((1, 2, 3), dtype=torch.int64))
