"""What a lie about the number of images is worth."""

from hypothesis import given
from hypothesis import strategies as st

from fedefm.exchange.shares import TIMES, above, capped

counts = st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 10**7), min_size=1)


@given(counts)
def test_nobody_weighs_more_than_the_limit_and_who_is_cut_is_named(said: dict[str, int]) -> None:
    weights = capped(said)
    middle = sorted(said.values())[(len(said) - 1) // 2]
    assert max(weights.values()) <= TIMES * max(1, middle) and min(weights.values()) >= 1
    assert above(said) == tuple(s for s in sorted(said) if weights[s] < said[s])


@given(st.integers(1, 10**5), st.integers(2, 7), st.integers(0, 10**7))
def test_of_three_equal_hospitals_or_more_one_lie_makes_no_majority(honest: int, others: int, lie: int) -> None:
    weights = capped({"liar": lie, **{f"h{k}": honest for k in range(others)}})
    assert weights["liar"] <= sum(weights.values()) / 2


@given(counts, st.integers(0, 10**7))
def test_a_lie_of_one_lifts_the_limit_over_no_honest_count(honest: dict[str, int], lie: int) -> None:
    assert capped({**honest, "liar": lie})["liar"] <= TIMES * max(1, *honest.values())


def test_close_counts_weigh_what_they_are() -> None:
    assert capped({"a": 60, "b": 100, "c": 80}) == {"a": 60.0, "b": 100.0, "c": 80.0}
    assert above({"a": 60, "b": 100, "c": 80}) == ()
    assert capped({"a": 10, "b": 1000, "c": 12}) == {"a": 10.0, "b": 24.0, "c": 12.0}
