"""Does a confidence of 0.8 mean right in 80 of 100 pixels?"""

import numpy as np
from jaxtyping import Bool, Float

from fedefm.errors import DataError

BINS = 15
_CERTAIN = 1e-6  # a score is kept this far from 0 and 1
_NEAR, _MOST = 1e-7, 100.0
_PULL = 1e-5  # of what a score weighs


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], bins: int = BINS
) -> float | None:
    """Expected calibration error (Guo et al., ICML 2017), from 0 to 1.

    Pixels are sorted by confidence into bins of equal width, open below; the error is the mean over pixels of
    |accuracy - mean confidence| of their bin.

    Args:
        confidence: the probability of the class that was chosen, 0 to 1.
        correct: whether it was the right one.
        bins: how many.

    Returns:
        The error; None for no pixels.

    Raises:
        DataError: the lengths differ, or a confidence is not within 0 and 1.
    """
    seen = Calibration(bins)
    seen.add(confidence, correct)
    return seen.error


class Calibration:
    """The same over pixels that are seen an image at a time.

    Args:
        bins: how many.
    """

    def __init__(self, bins: int = BINS):
        self._edges, self._gap, self._pixels = np.linspace(0, 1, bins + 1)[1:-1], np.zeros(bins), 0

    def add(self, confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"]) -> None:
        """Count the pixels of an image; see `expected_calibration_error`."""
        if confidence.shape != correct.shape:
            raise DataError(f"calibration: {len(confidence)} confidences for {len(correct)} pixels; give one each")
        if not len(confidence):
            return
        if not (confidence.min() >= 0 and confidence.max() <= 1):  # written so that NaN fails
            raise DataError("calibration: a confidence is not from 0 to 1; give probabilities, not logits")
        place = np.searchsorted(self._edges, confidence, side="left")
        np.add.at(self._gap, place, correct - confidence.astype(np.float64))
        self._pixels += len(confidence)

    @property
    def error(self) -> float | None:
        """The error so far; None for no pixels."""
        return float(np.abs(self._gap).sum() / self._pixels) if self._pixels else None


def fit_sigmoid(scores: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"]) -> tuple[float, float] | None:
    """Slope a and offset b so that sigmoid(a * logit(score) + b) is the share that is right (Platt, 1999).

    They are the most likely ones, with Platt's targets in place of 0 and 1, and pulled a
    little to a = 1 and b = 0, so that scores that are all alike have an answer too.

    Args:
        scores: from 0 to 1.
        correct: whether each was right.

    Returns:
        None where all are right, or none, or a higher score does not mean right more often.
    """
    from scipy.optimize import minimize  # a second to import
    from scipy.special import expit

    right = int(correct.sum())
    if not 0 < right < len(correct):
        return None
    inside = np.clip(scores.astype(np.float64), _CERTAIN, 1 - _CERTAIN)
    logit = np.log(inside / (1 - inside))
    target = np.where(correct, (right + 1) / (right + 2), 1 / (len(correct) - right + 2))
    prior = np.array([1.0, 0.0])

    def loss(found: Float[np.ndarray, " 2"]) -> tuple[float, Float[np.ndarray, " 2"]]:
        value = found[0] * logit + found[1]
        away = expit(value) - target
        gradient = np.array([np.mean(away * logit), np.mean(away)]) + _PULL * (found - prior)
        cost = np.mean(np.logaddexp(0, value) - target * value) + _PULL * np.sum((found - prior) ** 2) / 2
        return float(cost), gradient

    result = minimize(loss, prior, jac=True, method="BFGS", options={"gtol": _NEAR})
    slope, offset = (float(value) for value in result.x)
    return (slope, offset) if 0 < slope <= _MOST and abs(offset) <= _MOST else None
