import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.report import text


@given(st.floats(0, 1))
def test_three_decimals_are_within_half_a_thousandth(value):
    assert abs(float(text.decimals(value)) - value) <= 0.0005 + 1e-12
    assert len(text.decimals(value).split(".")[1]) == 3


def test_none_is_said_in_words():
    assert (text.score(None), text.decimals(None), text.difference(None)) == ("not labelled", "–", "–")


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.000 kB"), (1_530_000, "1.530 MB"), (2.5e12, "2.500 TB")],
)
def test_data_size_in_powers_of_a_thousand(value, written):
    assert text.data_size(value) == written


@given(st.integers(0, 10**15))
def test_data_size_is_right_to_three_decimals_of_its_unit(value):
    number, unit = text.data_size(value).split()
    scale = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert abs(float(number) * scale - value) <= 0.000501 * scale
    assert unit == "TB" or float(number) < 1000


@pytest.mark.parametrize(("value", "said"), [(47.6, "48 s"), (162, "3 min"), (7500, "2 h 5 min")])
def test_duration(value, said):
    assert text.duration(value) == said


@pytest.mark.parametrize(("value", "written"), [(0.25, "+0.250"), (-0.25, "−0.250"), (0.0, "+0.000")])
def test_difference_has_its_sign(value, written):
    assert text.difference(value) == written
