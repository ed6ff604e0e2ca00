"""Who takes turns with whom."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fedefm.exchange.groups import deal, rows, turns
from fedefm.exchange.schedule import Schedule

SILOS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)
CORPORA = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([("x",), ("y",), ("x", "y"), ("z",)]))


@given(SILOS, st.integers(0, 20))
def test_everybody_has_one_turn_a_round_and_the_first_one_moves_on(silos: list[str], round_: int) -> None:
    row = [silo for turn in turns(rows(Schedule(), silos, {}, silos, round_)) for silo in turn]
    assert sorted(row) == sorted(silos)
    assert not silos or row[0] == sorted(silos)[round_ % len(silos)]


@given(SILOS, st.integers(0, 20))
def test_in_parallel_all_have_their_turn_at_once(silos: list[str], round_: int) -> None:
    plan = Schedule(order="parallel", groups=3)
    assert turns(rows(plan, silos, {}, silos, round_)) == ([tuple(sorted(silos))] if silos else [])


@given(SILOS, CORPORA, st.integers(1, 9), st.integers(0, 5), st.integers(0, 3))
def test_groups_are_even_and_a_corpus_is_in_as_many_of_them_as_it_can(
    silos: list[str], corpora: dict[str, tuple[str, ...]], groups: int, round_: int, seed: int
) -> None:
    dealt = deal(groups, silos, corpora, silos, seed=seed, round_=round_)
    assert sorted(silo for group in dealt for silo in group) == sorted(silos)
    assert len(dealt) == min(groups, len(silos))
    assert not dealt or max(map(len, dealt)) - min(map(len, dealt)) <= 1
    for corpus, members in Counter(corpora.get(silo, ()) for silo in silos).items():
        having = sum(any(corpora.get(silo, ()) == corpus for silo in group) for group in dealt)
        assert having == min(members, groups)


@given(st.permutations("abcdefghijk"), st.integers(0, 9))
def test_the_deal_depends_on_no_order_of_arrival(silos: list[str], round_: int) -> None:
    corpora = {silo: (("x",), ("y",), ("z",))[ord(silo) % 3] for silo in silos}
    plan = Schedule(groups=4, seed=3)
    found = rows(plan, silos, corpora, silos, round_)
    assert found == rows(plan, sorted(silos), corpora, silos, round_)
    assert len(turns(found)) == 3


def test_groups_meet_others_in_other_rounds_and_with_another_seed() -> None:
    silos = "abcdefghijk"
    found = {deal(4, silos, {}, silos, seed=seed, round_=k)[0] for seed, k in ((0, 0), (0, 1), (1, 0))}
    assert len(found) == 3


def test_those_that_are_gone_lengthen_no_group() -> None:
    present = "bdfh"
    dealt = deal(2, "abcdefgh", {}, present, seed=0, round_=0)
    assert [len(set(group) & set(present)) for group in dealt] == [2, 2]
