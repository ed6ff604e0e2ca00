import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.report import json_checks as checks

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(json_values)
def test_plain_accepts_all_that_json_holds(value):
    checks.plain(value, "here")


@settings(max_examples=50)
@given(json_values, st.sampled_from([math.nan, math.inf, -math.inf, b"bytes", {1}, 1j]))
def test_plain_finds_what_json_lacks_at_any_depth(value, foreign):
    with pytest.raises(ConfigError, match=r"here\.a\.1\.b"):
        checks.plain({"a": [value, {"b": foreign}]}, "here")


@given(st.text() | st.lists(st.integers()) | st.none() | st.booleans())
def test_numbers_are_neither_text_nor_booleans(value):
    for check in (checks.number, checks.integer, checks.count, checks.amount):
        with pytest.raises(ConfigError, match="here"):
            check(value, "here")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ConfigError) as caught:
        checks.number("x" * 10_000 + "\n", "here")
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_optional_admits_none_only_on_top():
    checks.optional(checks.text)(None, "here")
    with pytest.raises(ConfigError):
        checks.optional(checks.text)(3, "here")
    with pytest.raises(ConfigError):
        checks.list_of(checks.text)([None], "here")
