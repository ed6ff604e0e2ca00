"""Real devices in two hospitals and five folds; the frames here are drawn, in the layout of the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixed.devices import CLASSES, FOLDS, IMAGES, MASKS, cut, deal, stems_of, write_devices

from fedefm.data.dataset import load_site
from fedefm.data.png_file import write_png
from fedefm.errors import ConfigError

HOSPITALS = {"catheters": "catheter", "vessels": "vessel"}
STEMS = [str(number) for number in range(1, 61, 2)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / IMAGES).mkdir(parents=True)
    (folder / MASKS).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for stem in STEMS:
        mask = np.zeros((32, 32), np.uint8)
        mask[4:8], mask[16:20], mask[28:, :4] = 1, 2, 255
        write_png(folder / IMAGES / f"{stem}.png", draw.integers(0, 255, (32, 32), dtype=np.uint8))
        write_png(folder / MASKS / f"{stem}.png", mask)
    return folder


def test_every_frame_is_a_test_frame_once_and_never_trains_in_that_fold() -> None:
    for frames in deal(STEMS, HOSPITALS, draw=0).values():
        folds = [cut(frames, fold) for fold in range(FOLDS)]
        assert sorted(stem for fold in folds for stem in fold["test"]) == sorted(frames)
        assert all(sorted(stem for part in fold.values() for stem in part) == sorted(frames) for fold in folds)


def test_no_frame_is_in_two_hospitals_and_an_unsure_catheter_trains_vessels_alone() -> None:
    dealt = deal([*STEMS, "113", "153"], HOSPITALS, draw=1)
    assert not set(dealt["catheters"]) & set(dealt["vessels"])
    assert {"113", "153"} <= set(dealt["vessels"])
    for fold in range(FOLDS):
        parts = cut(dealt["vessels"], fold)
        assert {"113", "153"} <= set(parts["train"])


def test_what_a_hospital_does_not_label_is_not_in_its_folder_but_in_its_test(real: Path, tmp_path: Path) -> None:
    folders = write_devices(tmp_path, real, HOSPITALS, seed=3, unseen=100)
    for name, own in HOSPITALS.items():
        site = load_site(folders[name], CLASSES, 32)
        seen = {label for frame in (*site.train.labels, *site.val.labels) for label in frame if label > 0}
        assert site.corpus == (own,) and site.test_corpus == CLASSES
        assert seen >= {CLASSES.index(own) + 1}
        assert not {3 - (CLASSES.index(own) + 1)} & seen
        assert {1, 2} <= set().union(*site.test.labels)


def test_with_all_labels_both_classes_train(real: Path, tmp_path: Path) -> None:
    folders = write_devices(tmp_path, real, HOSPITALS, seed=0, unseen=0)
    assert all(load_site(folder, CLASSES, 32).corpus == CLASSES for folder in folders.values())


def test_other_seeds_are_other_folds_and_then_another_deal(real: Path, tmp_path: Path) -> None:
    def tests_of(seed: int) -> set[str]:
        folders = write_devices(tmp_path / str(seed), real, HOSPITALS, seed, 100)
        return set(json.loads((folders["vessels"] / "dataset.json").read_text())["splits"]["test"])

    assert not tests_of(0) & tests_of(1)
    assert tests_of(0) != tests_of(FOLDS)


def test_no_images_and_a_share_between_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--real"):
        stems_of(tmp_path)
    with pytest.raises(ConfigError, match="0 or 100"):
        write_devices(tmp_path, tmp_path, HOSPITALS, 0, 50)
