"""Differences between methods, against hand-made values and a brute-force oracle."""

from itertools import product

import numpy as np
import pytest
from benchmarks.fixed.statistics import difference, holm, sign_flip
from hypothesis import given, settings
from hypothesis import strategies as st


def test_only_seeds_that_both_have_are_compared_by_their_number() -> None:
    found = difference({3: 0.5, 4: 0.7, 9: 0.1}, {4: 0.6, 3: 0.3, 8: 0.9})
    assert found is not None and found.seeds == (3, 4) and found.mean == pytest.approx(0.15)
    assert difference({1: 0.5}, {2: 0.5}) is None


def test_the_interval_is_students() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t of 2 degrees of freedom 4.303."""
    found = difference({0: 1.0, 1: 2.0, 2: 3.0}, dict.fromkeys(range(3), 0.0))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)


def test_one_seed_says_nothing() -> None:
    found = difference({0: 0.9}, {0: 0.1})
    assert found is not None and found.p == 1.0 and (found.low, found.high) == (-np.inf, np.inf)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=7))
def test_p_is_the_share_of_all_flips_that_are_as_far_off(values: list[int]) -> None:
    flips = [abs(np.dot(signs, values)) for signs in product((1, -1), repeat=len(values))]
    assert sign_flip(values) == pytest.approx(np.mean([flip >= abs(sum(values)) for flip in flips]))


def test_eight_seeds_on_one_side_give_the_least_p() -> None:
    assert sign_flip([0.1, 0.2, 0.3, 0.1, 0.4, 0.2, 0.1, 0.5]) == pytest.approx(2**-7)
    assert sign_flip([0.1, 0.2, 0.3]) == pytest.approx(0.25)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0} and holm({}) == {}
