import json

import numpy as np
import pytest

from fedefm.metrics import ScoredImage, dice, hausdorff95, score_cases
from support.random_masks import wire

CLASSES = ["catheter", "guidewire", "vessel"]


def labels(seed: int) -> np.ndarray:
    found = np.zeros((64, 64), int)
    found[wire(seed)] = 1
    found[wire(seed + 20) & (np.arange(64)[:, None] > 40)] = 2
    return found


@pytest.fixture
def cases() -> list[ScoredImage]:
    return [ScoredImage(labels(k), labels(k + 1), f"p{k // 2}", spacing_mm=(0.5, 0.5)) for k in range(6)]


def test_means_are_those_of_the_single_images(cases: list[ScoredImage]) -> None:
    found = score_cases(cases, CLASSES)["by_class"]["catheter"]
    single = [dice(c.prediction == 1, c.truth == 1) for c in cases]
    assert found["dice"]["mean"] == pytest.approx(np.mean(single))
    assert found["dice"]["low"] <= found["dice"]["mean"] <= found["dice"]["high"]
    distances = [hausdorff95(c.prediction == 1, c.truth == 1) for c in cases]
    assert found["hd95_px"]["mean"] == pytest.approx(np.mean(distances))
    assert found["hd95_mm"]["mean"] == pytest.approx(np.mean(distances) / 2)
    assert found["tip_mm"]["mean"] == pytest.approx(found["tip_px"]["mean"] / 2)
    assert found["support"] == found["dice"]["support"] == 6


def test_an_absent_class_has_no_figures_and_no_support(cases: list[ScoredImage]) -> None:
    found = score_cases(cases, CLASSES)["by_class"]["vessel"]
    assert found["support"] == 0
    assert all(found[name]["mean"] is None and found[name]["support"] == 0 for name in ("dice", "hd95_px", "pieces"))


def test_a_missed_device_weighs_on_dice_and_not_on_distances() -> None:
    truth, nothing = labels(0), np.zeros((64, 64), int)
    found = score_cases([ScoredImage(truth, truth), ScoredImage(nothing, truth)], CLASSES)["by_class"]["catheter"]
    assert (found["dice"]["mean"], found["hd95_px"]["mean"], found["missed"]["mean"]) == (0.5, 0.0, 0.5)
    assert (found["dice"]["support"], found["hd95_px"]["support"]) == (2, 1)
    assert found["pieces"]["mean"] == found["pieces_truth"]["mean"] / 2


def test_a_false_device_weighs_on_dice() -> None:
    nothing = np.zeros((64, 64), int)
    found = score_cases([ScoredImage(labels(0), nothing)], CLASSES)["by_class"]["catheter"]
    assert (found["dice"]["mean"], found["support"], found["missed"]["support"]) == (0.0, 0, 0)


def test_classes_that_nobody_annotated_are_not_scored(cases: list[ScoredImage]) -> None:
    found = score_cases(cases, CLASSES, ["guidewire"])
    assert list(found["by_class"]) == ["guidewire"]


def test_the_whole_table_is_json_and_seeded(cases: list[ScoredImage]) -> None:
    confident = [ScoredImage(c.prediction, c.truth, confidence=np.full(c.truth.shape, 0.9)) for c in cases]
    text = json.dumps(score_cases(confident, CLASSES, carriers={"guidewire": "catheter"}), allow_nan=False)
    again = score_cases(confident, CLASSES, carriers={"guidewire": "catheter"})
    assert text == json.dumps(again)
    right = np.mean([(c.prediction == c.truth).mean() for c in cases])
    assert again["all"]["ece"]["mean"] == pytest.approx(abs(right - 0.9))
    assert set(again["all"]["as_in_authors_code"]) >= {"jaccard_with_background", "dice_over_channels"}


def test_no_images() -> None:
    found = score_cases([], CLASSES)
    assert found["all"]["miou"] == {"mean": None, "low": None, "high": None, "support": 0}
    json.dumps(found, allow_nan=False)
