import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.evaluation.figures import matrix, mean_over_classes, read_scores
from fedefm.metrics.table import of_images

CLASSES = ("catheter", "vessel")
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["by_class", "all", "dice", "mean", "catheter", "miou"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def leaves(value: object) -> list[object]:
    return [x for inner in value.values() for x in leaves(inner)] if isinstance(value, dict) else [value]


@given(hostile)
def test_whatever_comes_only_known_names_and_numbers_are_kept(plain: object) -> None:
    found = read_scores(plain, CLASSES)
    assert set(found) == {"by_class", "all"} and set(found["by_class"]) <= set(CLASSES)
    names = {row.name for row in of_images()}
    assert all(set(figures) == {*names, "support"} for figures in found["by_class"].values())
    assert all(
        leaf is None or (isinstance(leaf, (int, float)) and not isinstance(leaf, bool)) for leaf in leaves(found)
    )
    assert read_scores(json.loads(json.dumps(found)), CLASSES) == found


def scores(**dice: float | None) -> dict:
    return read_scores({"by_class": {name: {"dice": {"mean": value}} for name, value in dice.items()}}, CLASSES)


def test_the_matrix_has_a_place_for_every_model_and_hospital() -> None:
    found = {"theta": {"a": scores(catheter=0.2, vessel=0.6), "b": scores(catheter=None, vessel=0.5)}, "own": {}}
    assert matrix(found, "dice", ("a", "b", "c")) == {
        "theta": {"a": pytest.approx(0.4), "b": 0.5, "c": None},
        "own": {"a": None, "b": None, "c": None},
    }
    assert mean_over_classes(scores(), "dice") is None
