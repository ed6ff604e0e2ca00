"""Averages of weights against exact arithmetic, and the states that must not be averaged."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedefm.errors import ConfigError, ProtocolError
from fedefm.maths import interpolate, linear_combination, weighted_mean

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def random_state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "conv.weight": torch.randn((4, 3, 2), generator=generator).to(dtype),
        "conv.bias": torch.randn((4,), generator=generator).to(dtype),
        "scale": torch.randn((), generator=generator).to(dtype),
        "steps": torch.tensor(7),
    }


def equal_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    same = (
        x.dtype == y.dtype and torch.equal(x.view(-1).view(torch.uint8), y.view(-1).view(torch.uint8))
        for x, y in ((a[key], b[key]) for key in a)
    )
    return set(a) == set(b) and all(same)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(1, 1000)), min_size=1, max_size=8))
def test_mean_is_the_exact_mean_rounded_once(pairs: list[tuple[float, int]]) -> None:
    states = {f"silo-{k}": {"w": torch.tensor([value], dtype=torch.float32)} for k, (value, _) in enumerate(pairs)}
    weights = {f"silo-{k}": float(weight) for k, (_, weight) in enumerate(pairs)}
    exact = sum(Fraction(value) * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
    mean = weighted_mean(states, weights)["w"]
    # float64 leaves an error far below half a unit of float32 of the largest term.
    size = max(abs(value) for value, _ in pairs)
    assert mean.item() == pytest.approx(np.float32(float(exact)), rel=1.2e-7, abs=1e-14 * size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrival_order_does_not_change_a_bit(dtype: torch.dtype) -> None:
    states = {name: random_state(k, dtype) for k, name in enumerate(["d", "b", "a", "c"])}
    weights = {"a": 0.1, "b": 0.7, "c": 1e-3, "d": 123.0}
    expected = weighted_mean(states, weights)
    for order in itertools.permutations(states):
        assert equal_bits(weighted_mean({name: states[name] for name in order}, weights), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_copies_is_the_copy(dtype: torch.dtype) -> None:
    state = random_state(0, dtype)
    mean = weighted_mean(dict.fromkeys("abcd", state))
    assert equal_bits(mean, state)
    assert all(mean[key].data_ptr() != state[key].data_ptr() for key in state)


def test_a_weight_of_zero_leaves_a_silo_out() -> None:
    states = {name: random_state(k) for k, name in enumerate("abc")}
    without = weighted_mean({name: states[name] for name in "ac"}, {"a": 2.0, "c": 3.0})
    assert equal_bits(weighted_mean(states, {"a": 2.0, "b": 0.0, "c": 3.0}), without)


def test_half_precision_is_summed_in_double_precision() -> None:
    # 1 + 2048 * 2^-11 in float16 stays at 1 for ever.
    states = {f"{k:04d}": {"w": torch.tensor([1.0 if k == 0 else 2**-11], dtype=torch.float16)} for k in range(2049)}
    assert weighted_mean(states)["w"].item() == pytest.approx(2 / 2049, rel=1e-3)


def test_no_state_raises() -> None:
    with pytest.raises(ProtocolError, match="no silo"):
        weighted_mean({})


def broken(key: str, value: Tensor | None) -> dict[str, dict[str, Tensor]]:
    state = random_state(1)
    if value is None:
        del state[key]
    else:
        state[key] = value
    return {"near": random_state(0), "odd": state}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", None),
        ("surplus", torch.ones(1)),
        ("scale", torch.ones(1)),
        ("conv.bias", torch.ones(5)),
        ("conv.bias", torch.ones(4, dtype=torch.float64)),
        ("conv.bias", torch.tensor([1.0, math.nan, 1.0, 1.0])),
        ("conv.bias", torch.tensor([1.0, math.inf, 1.0, 1.0])),
        ("steps", torch.tensor(8)),
    ],
)
def test_a_state_unlike_the_others_raises_and_is_named(key: str, value: Tensor | None) -> None:
    with pytest.raises(ProtocolError, match=f"'odd'.*{key}"):
        weighted_mean(broken(key, value))


@pytest.mark.parametrize(
    ("weights", "culprit"),
    [
        ({"a": 1.0}, "'b'"),
        ({"a": 1.0, "b": 1.0, "z": 1.0}, "'z'"),
        ({"a": 1.0, "b": math.nan}, "'b'"),
        ({"a": math.inf, "b": 1.0}, "'a'"),
        ({"a": 2.0, "b": -1.0}, "'b'"),
        ({"a": 0.0, "b": 0.0}, "sum to zero"),
    ],
)
def test_weights_that_give_no_mean_raise(weights: dict[str, float], culprit: str) -> None:
    with pytest.raises(ProtocolError, match=culprit):
        weighted_mean({"a": random_state(0), "b": random_state(1)}, weights)


@pytest.mark.parametrize("dtype", DTYPES)
def test_interpolation_ends_at_the_bits_of_its_ends(dtype: torch.dtype) -> None:
    a, b = random_state(0, dtype), random_state(1, dtype)
    a["scale"], b["scale"] = torch.tensor(-0.0, dtype=dtype), torch.tensor(math.inf, dtype=dtype)
    b["steps"] = torch.tensor(9)
    assert equal_bits(interpolate(a, b, 0), a)
    assert equal_bits(interpolate(a, b, 1.0), b)
    assert interpolate(a, b, 0)["scale"].data_ptr() != a["scale"].data_ptr()


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 4))
def test_interpolation_is_the_straight_line_in_double_precision(t: float) -> None:
    a, b = random_state(0), random_state(1)
    mixed = interpolate(a, b, t)
    for key in ("conv.weight", "conv.bias", "scale"):
        expected = (1 - t) * a[key].double().numpy() + t * b[key].double().numpy()
        np.testing.assert_allclose(mixed[key].numpy(), expected.astype(np.float32), rtol=1.2e-7, atol=1e-14)
        assert mixed[key].dtype == torch.float32
    assert mixed["steps"].item() == 7


@pytest.mark.parametrize("t", [-0.1, math.inf, math.nan])
def test_interpolation_outside_the_line_raises(t: float) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        interpolate(random_state(0), random_state(1), t)


@pytest.mark.parametrize(("key", "value"), [("scale", None), ("steps", torch.tensor(8)), ("conv.bias", torch.ones(5))])
def test_interpolation_of_unlike_states_raises(key: str, value: Tensor | None) -> None:
    states = broken(key, value)
    with pytest.raises(ProtocolError, match=f"'b'.*{key}"):
        interpolate(states["near"], states["odd"], 0.5)


def test_a_linear_combination_by_hand_knows_no_order() -> None:
    a, b = (
        {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
        {"w": torch.tensor([10.0, -4.0]), "n": torch.tensor(3)},
    )
    found = linear_combination({"a": a, "b": b}, {"a": 2.0, "b": -0.5})
    assert found["w"].tolist() == [-3.0, 6.0] and found["n"].item() == 3
    again = linear_combination({"b": b, "a": a}, {"b": -0.5, "a": 2.0})
    assert torch.equal(found["w"], again["w"])


@pytest.mark.parametrize("factors", [{}, {"b": 1.0}, {"a": math.nan}, {"a": 1.0, "b": 1.0}])
def test_factors_that_do_not_fit_are_refused(factors: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="factor"):
        linear_combination({"a": {"w": torch.ones(1)}}, factors)


def test_combining_nothing_or_other_layouts_is_refused() -> None:
    with pytest.raises(ProtocolError):
        linear_combination({}, {})
    with pytest.raises(ProtocolError):
        linear_combination({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(2)}}, {"a": 1.0, "b": 1.0})
