import pytest

from fedefm.errors import ConfigError
from fedefm.finetune.metric import Best, check_reported, is_better, value_of


def test_the_value_is_the_mean_of_who_has_it() -> None:
    figures = {"a": {"dice": 0.2}, "b": {"dice": None}, "c": {"dice": 0.6}, "d": {}}
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
