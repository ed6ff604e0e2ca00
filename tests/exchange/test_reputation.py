import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.exchange.reputation import BLIND, comparable, reputation, with_agreement
from fedefm.exchange.topology import complete, ring

SHARE = st.floats(0, 1)
AGREEMENT = st.dictionaries(
    st.sampled_from("hjk"),
    st.dictionaries(st.sampled_from(["catheter", "vessel"]), st.dictionaries(st.sampled_from("ab"), SHARE)),
)


def at_one_host(**silos: float) -> dict[str, dict[str, dict[str, float]]]:
    return {"host": {"catheter": silos}}


@pytest.mark.parametrize(("own", "kept"), [(0.8, 1.0), (0.4, 1.0), (0.3, 0.5), (0.2, 0.0), (0.1, 0.0)])
def test_the_share_falls_in_a_line_from_the_limit_to_its_half(own: float, kept: float) -> None:
    assert reputation(at_one_host(a=own, b=0.8, c=0.1), "a", 0.5) == pytest.approx(kept)


def test_neither_one_lying_host_nor_one_odd_class_decides() -> None:
    fair = {name: {"a": 0.6, "b": 0.6} for name in ("catheter", "vessel")}
    slander = {name: {"a": 0.0, "b": 0.6} for name in ("catheter", "vessel")}
    assert reputation({"h": fair, "j": fair, "liar": slander}, "a", 0.5) == 1.0
    assert reputation({"h": slander, "j": slander, "friend": fair}, "a", 0.5) == 0.0
    odd = {"catheter": slander["catheter"], "guidewire": fair["vessel"], "vessel": fair["vessel"]}
    assert reputation({"h": odd, "j": odd}, "a", 0.5) == 1.0


def test_who_was_not_compared_counts_in_full() -> None:
    assert reputation({}, "a", 0.5) == 1.0
    assert reputation(at_one_host(a=0.0), "a", 0.5) == 1.0
    assert reputation(at_one_host(b=0.9), "a", 0.5) == 1.0
    assert reputation(at_one_host(a=0.0, b=BLIND), "a", 0.5) == 1.0  # nobody sees the class yet
    assert reputation(at_one_host(a=0.0, b=0.9), "a", 0.0) == 1.0


@given(AGREEMENT, st.sampled_from("ab"), SHARE)
def test_a_reputation_is_a_share_and_one_silo_always_keeps_some(agreement: dict, silo: str, limit: float) -> None:
    assert 0 <= reputation(agreement, silo, limit) <= 1
    classes = {name for found in agreement.values() for name in found}
    if len(agreement) == 1 and len(classes) == 1:
        assert max(reputation(agreement, name, limit) for name in "ab") == 1


def test_a_new_finding_takes_the_place_of_the_old_one_and_of_no_other() -> None:
    before = {"h": {"catheter": {"a": 0.1, "b": 0.2}, "vessel": {"a": 0.3}}}
    after = with_agreement(with_agreement(before, "h", "a", {"catheter": 0.9}), "j", "b", {"vessel": 0.5})
    assert after == {
        "h": {"catheter": {"a": 0.9, "b": 0.2}, "vessel": {"a": 0.3}},
        "j": {"vessel": {"b": 0.5}},
    }
    assert before == {"h": {"catheter": {"a": 0.1, "b": 0.2}, "vessel": {"a": 0.3}}}


def test_comparable_are_classes_that_host_silo_and_another_visitor_annotate() -> None:
    corpora = {"a": ["vessel", "catheter"], "b": ["catheter"], "c": ["vessel", "catheter"], "d": ["catheter"]}
    assert comparable(complete("abc"), corpora, "a", "b") == ("catheter",)
    assert comparable(complete("ac"), corpora, "a", "c") == ()
    assert comparable(complete("abcd"), {"a": ["vessel"], "b": ["catheter"]}, "a", "b") == ()
    assert comparable(ring("abcd"), corpora, "a", "b") == ("catheter",)  # c visits b too
    assert comparable(ring("abcd"), corpora | {"c": ["vessel"]}, "a", "b") == ()  # d does not
