import pytest

from fedefm.evaluation.figures import matrix, mean_over_classes


def scores(**dice: float | None) -> dict:
    return {"by_class": {name: {"dice": {"mean": value}} for name, value in dice.items()}}


def test_the_matrix_has_a_place_for_every_model_and_hospital() -> None:
    found = {"theta": {"a": scores(catheter=0.2, vessel=0.6), "b": scores(catheter=None, vessel=0.5)}, "own": {}}
    assert matrix(found, "dice", ("a", "b", "c")) == {
        "theta": {"a": pytest.approx(0.4), "b": 0.5, "c": None},
        "own": {"a": None, "b": None, "c": None},
    }
    assert mean_over_classes(scores(), "dice") is None
