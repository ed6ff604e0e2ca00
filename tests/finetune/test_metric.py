import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.finetune.metric import Best, check_reported, is_better, replaces, value_of


def test_the_value_is_the_median_of_who_has_it() -> None:
    figures = {"a": {"dice": 0.2}, "b": {"dice": None}, "c": {"dice": 0.6}, "d": {}}
    assert value_of("dice", {**figures, "e": {"dice": 0.3}}) == 0.3
    assert value_of("dice", figures) == pytest.approx(0.4)
    assert value_of("iou", figures) is None


@pytest.mark.parametrize(
    ("metric", "new", "old", "better"),
    [
        ("dice", 0.5, 0.4, True), ("dice", 0.4, 0.4, False), ("dice", 0.3, 0.4, False),
        ("loss", 0.3, 0.4, True), ("loss", 0.5, 0.4, False),
        ("last", None, 0.9, True), ("dice", None, 0.4, False), ("dice", None, None, True),
    ],
)  # fmt: skip
def test_what_replaces_the_best(metric: str, new: float | None, old: float | None, better: bool) -> None:
    assert is_better(metric, new, Best(0, old)) is better


def test_a_metric_that_nobody_reports_is_refused() -> None:
    reported = {"a": ["dice", "loss"], "b": ["loss"]}
    check_reported("dice", reported)
    check_reported("last", {})
    with pytest.raises(ConfigError, match=r"'auc' is never reported: .* give dice, loss; choose"):
        check_reported("auc", reported)
    with pytest.raises(ConfigError, match="give nothing"):
        check_reported("dice", {"a": []})


shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=6), shares, shares)
def test_where_all_others_agree_one_that_lies_decides_nothing(honest, before: float, after: float) -> None:
    """It may say what it likes, within the metric's range, of both rounds."""
    old = {f"h{k}": {"dice": min(pair)} for k, pair in enumerate(honest)} | {"liar": {"dice": before}}
    new = {f"h{k}": {"dice": max(pair)} for k, pair in enumerate(honest)} | {"liar": {"dice": after}}
    if all(min(pair) < max(pair) for pair in honest):
        assert replaces("dice", new, old)
        assert not replaces("dice", old, new)


def test_a_hospital_is_compared_with_itself() -> None:
    old = {"easy": {"dice": 0.9, "loss": 1.0}, "hard": {"dice": 0.1, "loss": 9.0}, "mid": {"dice": 0.5, "loss": 2.0}}
    new = {"easy": {"dice": 0.2, "loss": 2.0}, "hard": {"dice": 0.2, "loss": 8.0}, "mid": {"dice": 0.6, "loss": 1.0}}
    assert value_of("dice", new) < value_of("dice", old)
    assert replaces("dice", new, old) and replaces("loss", new, old) and not replaces("dice", old, new)


def test_without_a_value_there_is_nothing_to_lose_and_nothing_to_win() -> None:
    assert replaces("dice", {"a": {"dice": 0.1}}, {}) and replaces("last", {}, {"a": {"dice": 1.0}})
    assert not replaces("dice", {"a": {"dice": None}}, {"a": {"dice": 0.1}})
    assert not replaces("dice", {"b": {"dice": 0.9}}, {"a": {"dice": 0.1}})
