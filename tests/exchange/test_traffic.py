"""What is sent to whom, and what that costs beside the least possible."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.exchange.traffic import Moved, Traffic


def traffic(*sites: str) -> Traffic[str]:
    made: Traffic[str] = Traffic(lambda weights: f"hash of {weights}", len)
    for site in sites:
        made.told(site, ())
    return made


def test_what_a_hospital_holds_is_named_and_not_sent() -> None:
    one = traffic("a")
    assert one.pack("a", {"student": "theta", "b": "other"}).packed == {"student", "b"}
    again = one.pack("a", {"student": "theta", "c": "third"})
    assert again.packed == {"c"}
    assert again.digests == {"student": "hash of theta", "c": "hash of third"}
    assert one.moved == Moved(15, 15)


def test_weights_under_two_names_travel_once() -> None:
    for one in (traffic("a"), traffic()):
        assert one.pack("a", {"x": "same", "y": "same"}).packed == {"x"}
        assert one.moved == Moved(4, 4)


def test_a_result_is_held_by_the_hospital_that_made_it_and_by_no_other() -> None:
    one = traffic("a", "b")
    one.came("a", "result")
    assert one.pack("a", {"student": "result"}).packed == frozenset()
    assert one.pack("b", {"student": "result"}).packed == {"student"}
    assert one.moved == Moved(12, 12)


def test_a_hospital_that_keeps_nothing_is_sent_everything_again() -> None:
    one = traffic()
    for _ in range(3):
        assert one.pack("a", {"student": "theta"}).packed == {"student"}
    assert one.moved == Moved(15, 5)


def test_what_was_lost_is_sent_again_and_is_no_part_of_the_least() -> None:
    one = traffic("a")
    one.pack("a", {"student": "theta"})
    one.told("a", [])  # it started again
    assert one.pack("a", {"student": "theta"}).packed == {"student"}
    assert one.pack("a", {"student": "theta"}, whole=True).packed == {"student"}
    one.told("a", None)
    assert one.pack("a", {"student": "theta"}).packed == {"student"}
    assert one.moved == Moved(20, 5)


def test_what_a_hospital_held_before_is_no_part_of_the_least() -> None:
    one = traffic()
    one.told("a", ["hash of theta"])
    assert one.pack("a", {"student": "theta"}).packed == frozenset()
    assert one.moved == Moved(0, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["pack", "whole", "came", "told", "none"]),
        st.sets(st.sampled_from("xyz")),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_nothing_moves_less_than_the_least(steps: list[tuple[str, str, set[str]]]) -> None:
    one = traffic()
    for site, what, names in steps:
        if what in ("pack", "whole"):
            one.pack(site, {name: name for name in sorted(names)}, whole=what == "whole")
        elif what == "came":
            for name in sorted(names):
                one.came(site, name)
        else:
            one.told(site, None if what == "none" else [f"hash of {name}" for name in names])
        assert one.moved.least <= one.moved.bytes


def test_a_hospital_is_sent_no_more_at_once_than_a_message_takes() -> None:
    one = traffic("a")
    models = {"student": "first", "b": "second", "c": "third", "d": "first"}
    parts = []
    while not parts or parts[-1].left:
        parts.append(one.pack("a", models, most=11))
    assert [part.packed for part in parts] == [{"student", "b"}, {"c"}]
    assert [part.left for part in parts] == [1, 0] and not any(part.whole for part in parts)
    assert one.moved == Moved(16, 16)
    assert one.lacking("a", parts[0].digests.values()) == 0


def test_a_model_that_is_larger_than_a_message_travels_alone() -> None:
    one = traffic("a")
    assert one.pack("a", {"student": "first", "b": "second"}, most=1).packed == {"student"}


def test_a_hospital_that_keeps_nothing_is_sent_all_at_once() -> None:
    for one, whole in ((traffic(), False), (traffic("a"), True)):
        parcel = one.pack("a", {"student": "first", "b": "second"}, most=1, whole=whole)
        assert parcel.whole and not parcel.left
