"""The count is that of a set, and nobody sees what it is of."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.trust.private_count import Party, count, on_curve

THINGS = st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]), max_size=3), max_size=6)


@given(THINGS, THINGS)
@settings(max_examples=30, deadline=None)
def test_it_counts_the_things_that_share_a_text(mine: list[list[bytes]], theirs: list[list[bytes]]) -> None:
    here, there = Party(), Party()
    both, other = there.blind_again(here.blind(mine)), here.blind_again(there.blind(theirs))
    known = {text for row in theirs for text in row}
    assert count(both, other) == sum(not known.isdisjoint(row) for row in mine)


def test_what_travels_is_another_each_time_and_holds_no_text() -> None:
    texts = [[b"Miller"], [b"Smith"]]
    first, second = Party().blind(texts), Party().blind(texts)
    points = {point for row in first + second for point in row}
    assert len(points) == 4 and all(len(point) == 32 for point in points)
    assert count(first, second) == 0  # under one secret nothing can be compared


def test_the_order_is_lost() -> None:
    texts = [[bytes([k])] for k in range(40)]
    party, orders = Party(), set()
    for _ in range(3):
        orders.add(tuple(point for row in party.blind(texts) for point in row))
    assert len(orders) == 3 and len({frozenset(one) for one in orders}) == 1


@pytest.mark.parametrize("hostile", [b"", b"x" * 31, b"x" * 33, bytes(32), b"\1" + bytes(31)])
def test_what_is_no_point_is_refused(hostile: bytes) -> None:
    with pytest.raises(ProtocolError, match="no point"):
        Party().blind_again([[hostile]])


def test_rows_are_of_one_length_and_every_point_is_of_the_curve() -> None:
    """Which points are of the twist nobody can hide, so guesses could be ruled out by it."""
    rows = Party().blind([[b"%d" % k, b"%d!" % k] if k % 2 else [b"%d" % k] for k in range(40)])
    assert {len(row) for row in rows} == {2}
    assert all(on_curve(point) for row in rows for point in row)


def test_no_secret_changes_whether_a_point_is_of_the_curve() -> None:
    texts = [hashlib.sha256(bytes([k])).digest() for k in range(40)]
    assert {on_curve(text) for text in texts} == {True, False} and on_curve((9).to_bytes(32, "little"))
    for text in texts:
        [[after]] = Party().blind_again([[text]])
        assert on_curve(after) == on_curve(text)
