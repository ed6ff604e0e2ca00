from collections.abc import Callable
from functools import cache
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.exchange.reputation import BLIND, Agreement, believed, comparable, with_agreement
from fedefm.exchange.reputation import reputation as reputation_by
from fedefm.exchange.topology import Topology, complete, ring

Shape = Callable[[str], Topology]

SHARE = st.floats(0, 1)
AGREEMENT = st.dictionaries(
    st.sampled_from("hjk"),
    st.dictionaries(st.sampled_from(["catheter", "vessel"]), st.dictionaries(st.sampled_from("ab"), SHARE)),
)


def reputation(agreement: Agreement, silo: str, limit: float) -> float:
    """Where every silo annotates every class."""
    silos = {silo for classes in agreement.values() for found in classes.values() for silo in found}
    return reputation_by(agreement, dict.fromkeys(silos, (*"0123", "catheter", "guidewire", "vessel")), silo, limit)


def at_two_hosts(**silos: float) -> dict[str, dict[str, dict[str, float]]]:
    return {"h": {"catheter": silos}, "j": {"catheter": silos}}


@pytest.mark.parametrize(("own", "kept"), [(0.8, 1.0), (0.4, 1.0), (0.3, 0.5), (0.2, 0.0), (0.1, 0.0)])
def test_the_share_falls_in_a_line_from_the_limit_to_its_half(own: float, kept: float) -> None:
    assert reputation(at_two_hosts(a=own, b=0.8, c=0.1), "a", 0.5) == pytest.approx(kept)


def test_one_host_alone_convicts_nobody() -> None:
    assert reputation({"h": {"catheter": {"a": 0.0, "b": 0.8}}}, "a", 0.5) == 1.0


@cache
def falls(hosts: tuple[tuple[int, bool], ...]) -> bool:
    """Whether hosts, each with so many classes and a liar or not, bring a silo to 0 that all see as well as others."""
    agreement = {
        str(number): {str(name): {"victim": 0.0 if lies else 0.8, "other": 0.8} for name in range(classes)}
        for number, (classes, lies) in enumerate(hosts)
    }
    return reputation(agreement, "victim", 0.5) == 0


@cache
def shared(host: tuple[str, ...], silo: tuple[str, ...], others: tuple[tuple[str, ...], ...]) -> int:
    """Classes in which a host can compare a silo with its other visitors."""
    corpora = {"host": host, "silo": silo} | {f"other{number}": corpus for number, corpus in enumerate(others)}
    return len(comparable(complete(list(corpora)), corpora, "silo", "host"))


def fallen(sites: str, graph: Topology, liars: int) -> tuple[int, int]:
    """Corpora of three classes in which some liars bring an honest silo to 0, of all corpora of these sites."""
    parts = [c for n in (1, 2, 3) for c in combinations(("catheter", "guidewire", "vessel"), n)]
    count, total = 0, 0
    for chosen in product(parts, repeat=len(sites)):
        corpora, total = dict(zip(sites, chosen, strict=True)), total + 1
        hosts = {
            silo: [
                (host, shared(corpora[host], corpora[silo], tuple(sorted(corpora[v] for v in visitors if v != silo))))
                for host in graph.neighbours(silo)
                for visitors in [graph.visitors(host)]
            ]
            for silo in sites
        }
        count += any(
            falls(tuple(sorted((classes, host in group) for host, classes in hosts[silo] if classes)))
            for group in combinations(sites, liars)
            for silo in sites
            if silo not in group
        )
    return count, total


@pytest.mark.parametrize("sites", ["abc", "abcd", pytest.param("abcde", marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", [complete, ring])
def test_one_liar_takes_nothing_from_an_honest_silo_in_any_corpora(sites: str, shape: Shape) -> None:
    assert fallen(sites, shape(sites), 1) == (0, 7 ** len(sites))


@pytest.mark.parametrize(
    ("sites", "shape", "count"),
    [
        ("abcd", complete, 2089),
        ("abcd", ring, 889),
        pytest.param("abcde", complete, 13230, marks=pytest.mark.slow),
        pytest.param("abcde", ring, 7627, marks=pytest.mark.slow),
    ],
)
def test_what_two_liars_can_do(sites: str, shape: Shape, count: int) -> None:
    """Two of two or of three hosts are a majority; docs/method.md says in how many corpora that is so."""
    assert fallen(sites, shape(sites), 2) == (count, 7 ** len(sites))


def test_neither_one_lying_host_nor_one_odd_class_decides() -> None:
    fair = {name: {"a": 0.6, "b": 0.6} for name in ("catheter", "vessel")}
    slander = {name: {"a": 0.0, "b": 0.6} for name in ("catheter", "vessel")}
    assert reputation({"h": fair, "j": fair, "liar": slander}, "a", 0.5) == 1.0
    assert reputation({"h": slander, "j": slander, "friend": fair}, "a", 0.5) == 0.0
    odd = {"catheter": slander["catheter"], "guidewire": fair["vessel"], "vessel": fair["vessel"]}
    assert reputation({"h": odd, "j": odd}, "a", 0.5) == 1.0


def test_who_was_not_compared_counts_in_full() -> None:
    assert reputation({}, "a", 0.5) == 1.0
    assert reputation(at_two_hosts(a=0.0), "a", 0.5) == 1.0
    assert reputation(at_two_hosts(b=0.9), "a", 0.5) == 1.0
    assert reputation(at_two_hosts(a=0.0, b=BLIND), "a", 0.5) == 1.0  # nobody sees the class yet
    assert reputation(at_two_hosts(a=0.0, b=0.9), "a", 0.0) == 1.0


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


def test_who_annotates_a_class_is_held_against_all_and_who_does_not_against_nobody() -> None:
    """An honest silo may forget in its turn what it does not label; one that labels a class must know it."""
    corpora = {"a": ["vessel"], "b": ["vessel"], "c": ["catheter"]}
    found = {"vessel": {"a": 0.1, "b": 0.8, "c": 0.0}}
    assert believed(found, corpora, 0.5) == {"a": 0.0, "b": 1.0, "c": 1.0}
    assert believed({"vessel": {"a": 0.1, "c": 0.8}}, corpora, 0.5) == {"a": 0.0, "b": 1.0, "c": 1.0}
    assert believed({}, corpora, 0.5) == believed(found, corpora, 0.0) == {"a": 1.0, "b": 1.0, "c": 1.0}
