import pytest

from fedefm.report import text
from fedefm.report.bars import method_bars, stage_bars, total


def test_lengths_are_in_the_ratio_of_the_values():
    bars = {bar.label: bar.percent for bar in stage_bars({"a": 1.0, "b": 4.0, "total": 5.0}, text.seconds)}
    assert bars == {"a": 25.0, "b": 100.0}


def test_nothing_but_zeros_has_no_length():
    assert [bar.percent for bar in stage_bars({"a": 0, "b": 0}, text.data_size)] == [0, 0]
    assert stage_bars({"total": 3}, text.seconds) == []


def test_methods_come_best_first_and_a_dice_of_one_fills_the_width():
    bars = method_bars({"x": 0.2, "failed": None, "y": 1.0, "zero": 0.0})
    assert [(bar.label, bar.percent) for bar in bars] == [("y", 100), ("x", 20), ("zero", 0), ("failed", 0)]
    assert bars[-1].written == "no result"


def test_a_missing_total_is_the_sum():
    assert total({"a": 1.5, "b": 2}) == pytest.approx(3.5)
    assert total({"a": 1.5, "total": 9}) == 9
    assert total({}) == 0
