import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Stage
from fedefm.flare.reports import MAX_DEPTH, MAX_NUMBER, MAX_TEXT, check_report, plain_copy

numbers = st.integers(-MAX_NUMBER, MAX_NUMBER) | st.floats(-MAX_NUMBER, MAX_NUMBER, allow_nan=False)
leaves = st.none() | st.booleans() | numbers
texts = st.text(st.characters(categories=["L", "N"]), max_size=20)
json_values = st.recursive(
    leaves | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(json_values)
def test_plain_values_come_through_unchanged(value):
    try:
        assert plain_copy(value) == value
    except ProtocolError:
        assert depth(value) > MAX_DEPTH


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((depth(v) for v in inner), default=0) if isinstance(value, (dict, list)) else 0


@pytest.mark.parametrize(
    "value",
    [b"bytes", object(), {1: 2}, "x" * (MAX_TEXT + 1), "two\nlines", [0] * 30_000, 2**70, 1.7e308, {"a": {1, 2}}],
    ids=["bytes", "object", "key", "long", "newline", "many", "huge", "greatest", "set"],
)
def test_other_values_are_refused(value):
    with pytest.raises(ProtocolError):
        plain_copy(value)


def test_a_value_that_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(ProtocolError):
        plain_copy(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_hold_become_none(number):
    assert check_report({"loss": number, "val_dice": 0.5}, Stage.LOCAL) == {"loss": None, "val_dice": 0.5}


@pytest.mark.parametrize(
    ("stage", "report"),
    [
        (Stage.LOCAL, {"val_dice": 0.1}),
        (Stage.LOCAL, {"loss": "low", "val_dice": 0.1}),
        (Stage.LOCAL, {"loss": True, "val_dice": 0.1}),
        (Stage.DISTIL, {"loss": 1.0, "val_dice": 0.1, "emd_similarity": [1]}),
        (Stage.DISTIL, {"loss": 1.0, "val_dice": 0.1, "emd_similarity": {"a": "b"}}),
        (Stage.EVALUATE, {"scores": {"theta": 0.5}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": 0.5}}}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": "x", "support": 1}}}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": 7.0, "support": 1}}}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": 0.5, "iou": -0.1, "support": 1}}}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": 0.5, "support": -4}}}}),
        (Stage.EVALUATE, {"scores": {"theta": {"vessel": {"dice": 0.5, "support": 0.5}}}}),
        (Stage.LONE, {"scores": {"vessel": 1}}),
        (Stage.LONE, {"scores": {"vessel": {"dice": 2, "support": 1}}}),
        (Stage.PREPARE, {"corpus": [], "images": {"train": "many"}}),
        (Stage.PREPARE, {"corpus": [], "images": {"train": -1}}),
        (Stage.PREPARE, {"corpus": []}),
        (Stage.PREPARE, ["corpus", "images"]),
    ],
)
def test_a_report_without_its_stages_figures_is_refused(stage, report):
    with pytest.raises(ProtocolError):
        check_report(report, stage)
