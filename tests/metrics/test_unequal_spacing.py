"""Millimetres where rows and columns are not equally far apart."""

import numpy as np
import pytest

from fedefm.metrics.pair import Pair
from fedefm.metrics.surface import hausdorff95


def line(row: int, first: int, last: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[row, first:last] = True
    return mask


@pytest.mark.parametrize(("truth", "moved"), [(line(10, 5, 40), line(16, 5, 40)), (line(10, 5, 40), line(10, 5, 48))])
def test_each_direction_counts_by_its_own_spacing(truth: np.ndarray, moved: np.ndarray) -> None:
    pair = Pair(moved, truth, spacing_mm=(0.2, 0.4))
    rows, columns = (int(np.argwhere(moved)[-1][k] - np.argwhere(truth)[-1][k]) for k in (0, 1))
    assert pair.tip_mm == pytest.approx(np.hypot(0.2 * rows, 0.4 * columns))
    assert pair.surface_mm == hausdorff95(moved, truth, (0.2, 0.4))


def test_equal_spacing_scales_pixels_and_none_gives_none() -> None:
    truth, moved = line(10, 5, 40), line(13, 5, 40)
    assert Pair(moved, truth, spacing_mm=(0.3, 0.3)).surface_mm == 0.3 * 3
    assert Pair(moved, truth).surface_mm is None and Pair(moved, truth).tip_mm is None
