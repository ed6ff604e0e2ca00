import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fedefm.exchange.messages import CORRECTION, STUDENT, Assignment, Result, Stage, Task
from fedefm.training.ops import TensorOps
from fedefm.training.optimisation import Optimisation


def weights(value: float = 1.0) -> dict[str, Tensor]:
    return {"a": torch.full((2, 3), value), "b": torch.full((4,), value, dtype=torch.float64)}


OPS = TensorOps(weights())
ASKED = Assignment(Task(Stage.LOCAL, 0, "a", "a", steps=4), {STUDENT: weights()})


def back(sent: Any) -> Result[Any]:
    return Result(ASKED.task.id, sent)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"a": torch.full((2, 3), math.nan)}, "'a'"),
        ({"b": torch.tensor([0, 0, 0, math.inf], dtype=torch.float64)}, "'b'"),
        ({"b": torch.tensor([0, 0, 0, -math.inf], dtype=torch.float64)}, "'b'"),
        ({"a": torch.ones(3, 2)}, "'a'"),
        ({"a": torch.ones(6)}, "'a'"),
        ({"a": torch.ones(2, 3, dtype=torch.float64)}, "'a'"),
        ({"a": torch.ones(2, 3, dtype=torch.int32)}, "'a'"),
        ({"a": [1.0] * 6}, "else than tensors"),
        ({"a": None}, "else than tensors"),
        ({"c": torch.ones(1)}, "additional"),
    ],
)
def test_weights_that_break_the_schema_are_refused(change: dict[str, Any], told: str) -> None:
    reason = TensorOps.refusal.__wrapped__(OPS, ASKED, back(weights() | change))  # untyped, as peers are
    assert reason is not None and told in reason and "\n" not in reason


def test_missing_tensors_and_other_things_are_refused() -> None:
    refusal = TensorOps.refusal.__wrapped__
    for other in ({"a": weights()["a"]}, {}, [1], "weights"):
        assert refusal(OPS, ASKED, back(other))


def test_absurd_weights_are_refused_before_they_spoil_the_mean() -> None:
    for value in (3e38, -2e4):
        assert "beyond" in (OPS.refusal(ASKED, back(weights(value))) or "")


def test_good_weights_pass() -> None:
    assert OPS.refusal(ASKED, back(weights(-7.0))) is None
    assert OPS.refusal(ASKED, back(dict(reversed(weights().items())))) is None


def test_the_mean_is_weighted_and_knows_no_order() -> None:
    models = {"x": weights(1.0), "y": weights(4.0), "z": weights(-2.0)}
    shares = {"x": 1.0, "y": 2.0, "z": 5.0}
    mean = OPS.average(models, shares)
    torch.testing.assert_close(mean, weights((1 + 8 - 10) / 8))
    again = OPS.average(dict(reversed(models.items())), dict(reversed(shares.items())))
    assert all(torch.equal(mean[name], again[name]) for name in mean)


def test_interpolation_and_size() -> None:
    torch.testing.assert_close(OPS.interpolate(weights(1.0), weights(5.0), 0.25), weights(2.0))
    assert OPS.nbytes(weights()) == 2 * 3 * 4 + 4 * 8


def test_where_training_starts_is_known_weights_out_of_its_reach_are_refused() -> None:
    ops = TensorOps(weights(), Optimisation(learning_rate=1e-3), lambda assignment, result: assignment.models[STUDENT])
    assert ops.refusal(ASKED, back(weights(1.001))) is None
    assert "moved" in (ops.refusal(ASKED, back(weights(1.1))) or "") and "moved" in (
        ops.refusal(ASKED, back(weights(-1.0))) or ""
    )
    corrected = Assignment(ASKED.task, ASKED.models | {CORRECTION: weights(1000.0)})
    assert ops.refusal(corrected, back(weights(1.1))) is None  # SCAFFOLD's correction joins every step
    measured = Assignment(Task(Stage.EVALUATE, 0, "a", "a"), ASKED.models)
    assert ops.refusal(measured, back(weights(-1.0))) is None  # no training, no reach
