"""Weights of half precision: what travels, what arrives, and what is refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.maths.half import GREATEST, ROUNDING, SMALLEST, half_nbytes, narrow, widen
from fedefm.maths.size import nbytes

VALUES = st.lists(st.floats(-GREATEST, GREATEST, width=32), min_size=1, max_size=20)


@given(VALUES)
def test_what_arrives_is_within_half_a_last_place(values: list[float]) -> None:
    sent = {"w": torch.tensor(values)}
    came = widen(narrow(sent))["w"]
    assert bool(((came - sent["w"]).abs() <= ROUNDING * sent["w"].abs() + SMALLEST).all())


@given(VALUES)
def test_a_second_way_changes_nothing(values: list[float]) -> None:
    once = widen(narrow({"w": torch.tensor(values)}))
    assert torch.equal(widen(narrow(once))["w"], once["w"])


@pytest.mark.parametrize("value", [1e5, -1e5, math.inf, math.nan])
def test_what_half_precision_cannot_hold_is_refused_and_not_clipped(value: float) -> None:
    with pytest.raises(ProtocolError, match=r"tensor 'w' .* set wire to float32"):
        narrow({"w": torch.tensor([0.0, value])})


def test_whole_numbers_stay_and_the_size_is_known_before() -> None:
    weights = {"w": torch.zeros(3), "steps": torch.tensor(3), "mask": torch.tensor([True])}
    packed = narrow(weights)
    assert {name: value.dtype for name, value in packed.items()} == {
        "w": torch.float16,
        "steps": torch.int64,
        "mask": torch.bool,
    }
    assert nbytes(packed) == half_nbytes(weights) == 6 + 8 + 1
