import numpy as np
import pytest

from fedefm.metrics import authors_scores


def test_the_three_readings_differ() -> None:
    truth, prediction = np.array([[0, 0, 1, 1, 2, 2]]), np.array([[0, 0, 1, 0, 2, 2]])
    found = authors_scores(prediction, truth, [1, 2])
    assert found["jaccard_with_background"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["jaccard_without_background"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["dice_over_channels"] == pytest.approx((2 / 3 + 1) / 3)


def test_a_perfect_simulation_score_is_two_thirds() -> None:
    truth = np.array([[0, 1, 2]])
    assert authors_scores(truth, truth, [1, 2])["dice_over_channels"] == pytest.approx(2 / 3)
