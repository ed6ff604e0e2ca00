import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.exchange.state import RoundState

SITES = ("a", "b", "c")
GROUPS = st.frozensets(st.sampled_from(SITES))


def fresh() -> RoundState[float]:
    return RoundState(0, dict.fromkeys(SITES, 0.0), corpora=dict.fromkeys(SITES, ("catheter",)))


@given(st.lists(st.tuples(GROUPS, GROUPS)), st.integers(1, 3))
def test_misses_are_the_failures_since_the_last_success(stages: list, max_misses: int) -> None:
    state = fresh()
    for worked, failed in stages:
        state = state.with_outcome(worked - failed, failed - worked)
    for site in SITES:
        own = [site in failed for worked, failed in stages if (site in worked) != (site in failed)]
        streak = next((k for k, missed in enumerate(own[::-1]) if not missed), len(own))
        assert state.misses.get(site, 0) == streak
        assert (site in state.present(max_misses)) == (streak < max_misses)


def test_only_who_prepared_is_present() -> None:
    assert RoundState(0, dict.fromkeys(SITES, 0.0), corpora={"c": (), "a": ()}).present(1) == ("a", "c")


def test_a_new_outcome_leaves_the_old_state_alone() -> None:
    state = fresh()
    state.with_outcome(frozenset(), frozenset("a"))
    assert state == fresh()


@pytest.mark.parametrize(
    "wrong", [{"round": -1}, {"trained": frozenset("x")}, {"corpora": {"x": ()}}, {"misses": {"x": 1}}]
)
def test_a_state_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        RoundState(**{"round": 0, "silos": dict.fromkeys(SITES, 0.0)} | wrong)
