"""Node weights against their definition."""

import math

import numpy as np
import pytest
import torch

from fedefm.errors import OptimalTransportError
from fedefm.maths import cosine_cost, emd, node_weights
from fedefm.maths.weights import node_weights_of
from support.transport_problems import random_features


def test_are_the_positive_part_of_the_product_with_the_other_mean() -> None:
    u, v = (t - 0.5 for t in random_features(0, 2, 30, 5, 4))
    a, b = node_weights(u, v)
    for item in range(2):
        x, y = u[item].numpy(), v[item].numpy()
        np.testing.assert_allclose(a[item], np.maximum(0, x @ y.mean(0)), rtol=0, atol=1e-14)
        np.testing.assert_allclose(b[item], np.maximum(0, y @ x.mean(0)), rtol=0, atol=1e-14)
    assert (a == 0).any()
    assert (a > 0).any()


def test_exchanging_the_maps_exchanges_the_weights() -> None:
    u, v = random_features(1, 2, 3, 5, 4)
    for ours, theirs in zip(node_weights(u, v), reversed(node_weights(v, u)), strict=True):
        assert torch.equal(ours, theirs)


def test_from_dot_products_are_the_same() -> None:
    u, v = (t - 0.4 for t in random_features(2, 2, 6, 5, 4))
    for ours, theirs in zip(node_weights_of(u @ v.mT), node_weights(u, v), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


def test_gradients_are_those_of_finite_differences() -> None:
    u, v = (t.requires_grad_() for t in random_features(3, 2, 3, 4, 5))
    assert torch.autograd.gradcheck(node_weights, (u, v))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_do_not_overflow(dtype: torch.dtype) -> None:
    u, v = (100 * torch.ones((1, n, 512), dtype=dtype) for n in (2, 3))
    a, b = node_weights(u, v)
    assert a.dtype == b.dtype == torch.float32
    assert a.tolist() == [[5_120_000.0] * 2]
    assert b.tolist() == [[5_120_000.0] * 3]


def test_a_feature_that_is_not_finite_reaches_emd_which_raises() -> None:
    u, v = random_features(4, 1, 3, 4, 5)
    cost = cosine_cost(u, v)
    u[0, 0, 0] = math.nan
    with pytest.raises(OptimalTransportError, match="a of item 0"):
        emd(cost, *node_weights(u, v))


@pytest.mark.usefixtures("untyped")
def test_shapes_that_do_not_match_raise() -> None:
    with pytest.raises(OptimalTransportError, match="features"):
        node_weights(torch.ones((2, 3, 5)), torch.ones((2, 4, 6)))
