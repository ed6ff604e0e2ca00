import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from fedefm.errors import DataError
from fedefm.metrics import expected_calibration_error


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_agrees_with_torchmetrics(seed: int, bins: int) -> None:
    source = np.random.default_rng(seed)
    confidence, correct = source.random(500), source.random(500) < 0.6
    # its binary variant takes the probability of "1" as confidence and the target as "it was right"
    expected = binary_calibration_error(
        torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=bins, norm="l1"
    )
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(float(expected), abs=1e-6)


def test_known_values() -> None:
    right = np.array([True, True, True, False])
    assert expected_calibration_error(np.full(4, 0.75), right) == pytest.approx(0)
    assert expected_calibration_error(np.full(4, 1.0), right) == pytest.approx(0.25)
    assert expected_calibration_error(np.array([]), np.array([], bool)) is None


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_logits_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="logits"):
        expected_calibration_error(np.array([value]), np.array([True]))
