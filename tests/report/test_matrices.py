from hypothesis import given
from hypothesis import strategies as st

from fedefm.report.matrices import DEEPEST, MOST_EARLIER, matrix_series, opacity

SITES = ("a", "b")
unit = st.floats(0, 1)


@given(unit, unit, unit, unit)
def test_a_higher_value_is_never_paler(one, two, end, other):
    low, high = sorted((end, other))
    less, more = sorted((min(max(one, low), high), min(max(two, low), high)))
    assert 0 < opacity(less, low, high) <= opacity(more, low, high) <= DEEPEST


def test_differences_below_the_decimals_shown_are_not_shaded():
    assert opacity(0.9751, 0.9751, 0.9753) == opacity(0.9753, 0.9751, 0.9753)


def test_no_value_has_no_shade():
    assert opacity(None, 0, 1) == 0


def test_rounds_are_in_the_order_of_numbers_and_the_last_is_apart():
    series = matrix_series("t", "n", {str(n): {"a": {"b": n / 100}} for n in (10, 9, 2, 0)}, SITES)
    assert series is not None
    assert [matrix.round for matrix in series.earlier] == [0, 2, 9]
    assert series.last.round == 10
    assert (series.low, series.high) == (0, 0.1)
    host, shades = series.last.rows[0]
    assert (host, [shade.written for shade in shades]) == ("a", ["", "0.100"])


def test_many_rounds_are_thinned():
    series = matrix_series("t", "n", {str(n): {"a": {"b": 0.5}} for n in range(100)}, SITES)
    assert series is not None
    assert (len(series.earlier), series.earlier_total) == (MOST_EARLIER, 99)


def test_rounds_without_a_number_are_no_rounds():
    assert matrix_series("t", "n", {}, SITES) is None
    assert matrix_series("t", "n", {"0": {"a": {"b": None}}, "1": {}}, SITES) is None
