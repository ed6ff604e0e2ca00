"""What can be said of weights from their names, shapes, dtypes and values."""

import pytest
import torch

from fedefm.models.build import Weights
from fedefm.models.schema import MAX_WEIGHT, misdeclared, misfit, misvalued, schema_of

GOOD: Weights = {"w": torch.tensor([[1.0, -MAX_WEIGHT]]), "index": torch.tensor([1 << 40]), "none": torch.zeros(0)}


def test_good_weights_have_no_fault_whole_numbers_and_empty_tensors_included() -> None:
    assert misfit(GOOD, schema_of(GOOD)) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1.01 * MAX_WEIGHT, -1.01 * MAX_WEIGHT])
@pytest.mark.parametrize("place", [0, 1])
def test_a_single_value_is_found(value: float, place: int) -> None:
    tensor = torch.zeros(1, 2)
    tensor[0, place] = value
    assert "'w'" in str(misvalued(GOOD | {"w": tensor}))


def test_a_shape_or_dtype_is_named_with_the_one_that_is_wanted() -> None:
    schema = schema_of(GOOD)
    assert "int32, the network has int64" in str(misfit(GOOD | {"index": torch.tensor([1], dtype=torch.int32)}, schema))
    assert "2x1, the network has 1x2" in str(misfit(GOOD | {"w": GOOD["w"].T}, schema))
    assert "F8_E5M2, the network has float32" in str(
        misdeclared({**schema, "w": (torch.Size([1, 2]), "F8_E5M2")}, schema)
    )


@pytest.mark.parametrize("weights", [None, [], {}, {"w": 1}, GOOD | {"more": torch.zeros(1)}, dict.fromkeys(GOOD, 1)])
def test_what_is_no_such_dict_of_tensors_is_refused(weights: object) -> None:
    assert misfit(weights, schema_of(GOOD)) is not None
