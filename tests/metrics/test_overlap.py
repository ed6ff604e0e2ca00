import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou

from fedefm.errors import DataError
from fedefm.metrics import dice, iou, mean_iou
from fedefm.metrics.overlap import check_pair
from support.random_masks import EMPTY, blobs, point


def one_hot(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([~mask, mask]))[None].float()


@pytest.mark.parametrize("seed", range(30))
def test_agrees_with_monai_on_random_masks(seed: int) -> None:
    p, t = blobs(seed, share=0.3), blobs(seed + 100, share=0.1)
    args = one_hot(p), one_hot(t)
    assert dice(p, t) == pytest.approx(float(compute_dice(*args, include_background=False)), abs=1e-6)
    assert iou(p, t) == pytest.approx(float(compute_iou(*args, include_background=False)), abs=1e-6)


@pytest.mark.parametrize(
    ("p", "t", "expected"),
    [
        (EMPTY, EMPTY, 1.0),
        (EMPTY, point(2, 2), 0.0),
        (point(2, 2), EMPTY, 0.0),
        (point(2, 2), point(2, 2), 1.0),
        (point(2, 2), point(2, 3), 0.0),
    ],
)
def test_empty_masks_and_single_pixels(p: np.ndarray, t: np.ndarray, expected: float) -> None:
    assert dice(p, t) == iou(p, t) == expected


def test_mean_iou_leaves_background_out_and_counts_absent_classes_as_one() -> None:
    truth = np.array([[0, 1, 1, 2]])
    prediction = np.array([[0, 1, 2, 2]])
    assert mean_iou(prediction, truth, [1, 2]) == pytest.approx(0.5)
    assert mean_iou(prediction, truth, [1, 2, 3]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("classes", [[], [0, 1]])
def test_mean_iou_needs_foreground(classes: list[int]) -> None:
    with pytest.raises(DataError, match="foreground"):
        mean_iou(np.zeros((2, 2), int), np.zeros((2, 2), int), classes)


def test_masks_of_other_grids_are_refused() -> None:
    with pytest.raises(DataError, match="differ in shape"):
        check_pair(EMPTY, EMPTY[:3])
