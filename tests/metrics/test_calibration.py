import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torchmetrics.functional.classification import binary_calibration_error

from fedefm.errors import DataError
from fedefm.metrics import expected_calibration_error
from fedefm.metrics.calibration import fit_sigmoid


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


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, -0.5), (2.0, 0.3)])
def test_the_sigmoid_that_made_the_answers_is_found_again(slope: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 40_000)
    chance = 1 / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + offset)))
    found = fit_sigmoid(scores, rng.random(len(scores)) < chance)
    np.testing.assert_allclose(found, (slope, offset), atol=0.05)


def test_the_fit_is_the_most_likely_one() -> None:
    """Against a general minimiser."""
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.3, 0.999, 500)
    correct = rng.random(500) < scores**2
    logit = np.log(scores / (1 - scores))
    right = correct.sum()
    target = np.where(correct, (right + 1) / (right + 2), 1 / (500 - right + 2))

    def loss(found: np.ndarray) -> float:
        value = found[0] * logit + found[1]
        return float((np.logaddexp(0, value) - target * value).sum())

    np.testing.assert_allclose(fit_sigmoid(scores, correct), minimize(loss, [1.0, 0.0]).x, atol=1e-3)


@pytest.mark.parametrize("correct", [np.ones(50, bool), np.zeros(50, bool), np.arange(50) < 25])
def test_no_sigmoid_where_there_is_nothing_to_learn_or_it_would_fall(correct: np.ndarray) -> None:
    assert fit_sigmoid(np.linspace(0.4, 0.9, 50), correct) is None
