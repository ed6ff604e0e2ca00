import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import dice as dice_dissimilarity
from scipy.spatial.distance import jaccard as jaccard_dissimilarity
from torch import Tensor, nn

from fedefm.data.label_sets import NOTHING_KNOWN, set_label
from fedefm.training.scores import mean_dice, overlap_scores, predict, score
from support.splits import split_of

CLASSES = ("catheter", "guidewire", "vessel")


def labels(seed: int, count: int = 3, highest: int = 4) -> Tensor:
    return torch.randint(0, highest, (count, 6, 5), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_dice_and_iou_are_those_of_scipy_over_all_pixels(seed: int, count: int, high_p: int, high_t: int) -> None:
    prediction, truth = labels(seed, count, high_p), labels(seed + 1, count, high_t)
    found = overlap_scores(prediction, truth, CLASSES, CLASSES)
    for channel, name in enumerate(CLASSES, 1):
        p, t = np.asarray(prediction == channel).ravel(), np.asarray(truth == channel).ravel()
        if p.any() or t.any():
            assert found[name]["dice"] == pytest.approx(1 - dice_dissimilarity(p, t))
            assert found[name]["iou"] == pytest.approx(1 - jaccard_dissimilarity(p, t))
        else:
            assert found[name]["dice"] == found[name]["iou"] == 1
        assert found[name]["support"] == sum(bool((image == channel).any()) for image in truth)


@pytest.mark.parametrize(
    ("predicted", "true", "dice", "iou", "support"),
    [(0, 0, 1.0, 1.0, 0), (1, 0, 0.0, 0.0, 0), (0, 1, 0.0, 0.0, 2), (1, 1, 1.0, 1.0, 2)],
)
def test_empty_and_full_masks(predicted: int, true: int, dice: float, iou: float, support: int) -> None:
    full = torch.ones(2, 3, 3, dtype=torch.int64)
    found = overlap_scores(predicted * full, true * full, ("catheter",), ("catheter",))
    assert found == {"catheter": {"dice": dice, "iou": iou, "support": support}}


def test_a_class_that_the_site_does_not_label_is_not_scored() -> None:
    assert set(overlap_scores(labels(0), labels(1), CLASSES, ("vessel",))) == {"vessel"}


class Argmax(nn.Module):
    """Says of each pixel the class of its grey value."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        return -self.scale * (images - torch.arange(4).view(1, 4, 1, 1)).abs()


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40])
def test_predictions_are_the_same_in_any_batches(count: int) -> None:
    masks = torch.randint(0, 4, (count, 6, 6), generator=torch.Generator().manual_seed(0))
    model = Argmax().train()
    found = predict(model, masks.unsqueeze(1).float())
    assert torch.equal(found, masks) and found.dtype == torch.int64
    assert not any(model.modes)


def test_a_right_network_scores_one_and_an_empty_split_nothing() -> None:
    masks = torch.randint(0, 4, (3, 6, 6), generator=torch.Generator().manual_seed(0))
    found = score(Argmax(), split_of(masks.unsqueeze(1).float(), masks), CLASSES, CLASSES)
    assert all(s["dice"] == s["iou"] == 1 and s["support"] == 3 for s in found.values()) and len(found) == 3
    assert score(Argmax(), split_of(masks[:0].unsqueeze(1).float(), masks[:0]), CLASSES, CLASSES) == {}


def test_the_mean_dice_is_over_classes() -> None:
    assert mean_dice({"a": {"dice": 0.25}, "b": {"dice": 0.75}}) == 0.5
    assert mean_dice({}) is None


def test_images_with_a_union_are_left_out_for_its_classes_alone() -> None:
    prediction, truth = labels(0), labels(1)
    mixed = truth.clone()
    mixed[0, 0, 0] = set_label([1, 2])
    found, rest = overlap_scores(prediction, mixed, CLASSES, CLASSES), slice(1, None)
    without = overlap_scores(prediction[rest], truth[rest], CLASSES, CLASSES)
    assert found["catheter"] == without["catheter"] and found["guidewire"] == without["guidewire"]
    prediction[0, 0, 0] = 3
    assert overlap_scores(prediction, mixed, CLASSES, CLASSES)["vessel"]["support"] == 3
    mixed[:, 0, 0] = set_label([1, 2])
    assert overlap_scores(prediction, mixed, CLASSES, CLASSES).keys() == {"vessel"}


def test_pixels_of_which_nothing_is_known_do_not_count() -> None:
    prediction, truth = labels(0), labels(1)
    truth[:, :, 2:] = NOTHING_KNOWN
    assert overlap_scores(prediction, truth, CLASSES, CLASSES) == overlap_scores(
        prediction[:, :, :2], truth[:, :, :2], CLASSES, CLASSES
    )
