"""Frames without masks: of nobody who is validated or tested on, nothing known of them, and in no other split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedefm.data.checks import check_sites
from fedefm.data.dataset import SiteData, load_site
from fedefm.data.describe import describe_folder
from fedefm.data.folder import IMAGES, MASKS, UNLABELLED
from fedefm.data.frames import joined
from fedefm.data.grouped import place_images, place_unlabelled
from fedefm.data.label_sets import NOTHING_KNOWN
from fedefm.data.manifest import load_manifest
from fedefm.data.png_file import write_png
from fedefm.errors import DataError
from support.angiograms import angiogram, site
from support.dicom_files import dicom, text
from support.splits import images_of, masks_of

SAID = {
    "classes": {"0": "background", "1": "catheter"},
    "patients": "^(?P<patient>[^_]+)_",
    "splits": {"train": ["p0"], "val": ["p1"], "test": ["p2"]},
    "unlabelled": True,
}


def silo(folder: Path, **said: Any) -> Path:
    random = np.random.default_rng(0)

    def grey() -> Any:
        return random.integers(0, 256, (32, 32)).astype(np.uint8)

    for part in (IMAGES, MASKS, UNLABELLED):
        (folder / part).mkdir(parents=True)
    for k in range(3):
        for n in range(2):
            write_png(folder / IMAGES / f"p{k}_{n}.png", grey())
            write_png(folder / MASKS / f"p{k}_{n}.png", grey() % 2)
    for stem in ("p0_8", "p1_8", "p2_8", "p7_1", "p7_2"):
        write_png(folder / UNLABELLED / f"{stem}.png", grey())
    (folder / "dataset.json").write_text(json.dumps(SAID | said))
    return folder


def load(folder: Path, **options: Any) -> SiteData:
    return load_site(folder, ["catheter"], 32, **options)


def test_nothing_is_known_of_them_and_nobody_of_val_or_test_is_among_them(tmp_path: Path) -> None:
    data = load(silo(tmp_path / "a"), unlabelled=True)
    assert data.unlabelled is not None and len(data.unlabelled) == 3  # p0_8, p7_1, p7_2
    assert masks_of(data.unlabelled).unique().tolist() == [NOTHING_KNOWN]
    assert set(data.unlabelled.labels) == {(NOTHING_KNOWN,)}
    labelled = [*data.train.names, *data.val.names, *data.test.names]
    assert not set(data.unlabelled.names) & set(labelled)


@pytest.mark.parametrize(("said", "options"), [({}, {}), ({"unlabelled": False}, {"unlabelled": True})])
def test_without_a_word_of_the_hospital_or_the_job_there_are_none(
    tmp_path: Path, said: dict[str, Any], options: dict[str, Any]
) -> None:
    assert load(silo(tmp_path / "a", **said), **options).unlabelled is None


def test_the_other_splits_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a")
    with_them, without = load(folder, unlabelled=True), load(folder)
    for name in ("train", "val", "test"):
        one, other = getattr(with_them, name), getattr(without, name)
        assert one.names == other.names and one.patients == other.patients
        assert torch.equal(images_of(one), images_of(other)) and torch.equal(masks_of(one), masks_of(other))


def test_neighbours_of_who_is_tested_are_left_out_where_nothing_is_stated(tmp_path: Path) -> None:
    pictures = {f"run{r}_f{k}": angiogram(r, shift=k) for r in range(8) for k in range(2)}
    folder = site(tmp_path / "a", pictures, unlabelled=True)
    (folder / UNLABELLED).mkdir()
    for r in range(9):
        write_png(folder / UNLABELLED / f"run{r}_f9.png", angiogram(r, shift=9)[0])
    write_png(folder / UNLABELLED / "copy.png", angiogram(0)[0])
    manifest = load_manifest(folder)
    placed = place_images(folder, manifest)
    split_of = {stem: placed.split_of[patient] for stem, patient in placed.patient_of.items()}
    taught = place_unlabelled(folder, manifest, placed)
    expected = {f"run{r}_f9" for r in range(8) if split_of[f"run{r}_f0"] == "train"} | {"run8_f9"}
    assert set(taught) - {"copy"} == expected and ("copy" in taught) == (split_of["run0_f0"] == "train")
    assert place_images(folder, manifest) == placed and len(expected) < 8
    data = load_site(folder, ["catheter", "guidewire"], 32, unlabelled=True)
    assert data.unlabelled is not None and len(data.unlabelled) == len(taught)


def test_another_picture_of_a_patient_who_is_tested_is_left_out_by_the_header(tmp_path: Path) -> None:
    """No name and no look says that they belong together: Patient ID alone does."""
    random, folder = np.random.default_rng(1), tmp_path / "a"
    for part in (IMAGES, MASKS, UNLABELLED):
        (folder / part).mkdir(parents=True)

    def image(patient: int) -> bytes:
        own = text(0x00100020, "LO", f"HOSPITAL-NUMBER-{patient:04d} ")
        return dicom(random.integers(0, 4096, (32, 32)).astype(np.uint16), between=own)

    stems = dict(enumerate(("oak", "elm", "ash", "fir", "yew", "bay", "box", "fig")))
    for patient, stem in stems.items():
        (folder / IMAGES / f"{stem}.dcm").write_bytes(image(patient))
        write_png(folder / MASKS / f"{stem}.png", random.integers(0, 2, (32, 32)).astype(np.uint8))
        (folder / UNLABELLED / f"new{stem}.dcm").write_bytes(image(patient))
    said = {"classes": SAID["classes"], "unlabelled": True}
    (folder / "dataset.json").write_text(json.dumps(said))
    manifest = load_manifest(folder)
    placed = place_images(folder, manifest)
    trained = {stem for stem in stems.values() if placed.split_of[placed.patient_of[stem]] == "train"}
    assert 0 < len(trained) < 8
    assert set(place_unlabelled(folder, manifest, placed)) == {f"new{stem}" for stem in trained}


def test_two_splits_as_one_give_their_frames_in_any_order(tmp_path: Path) -> None:
    data = load(silo(tmp_path / "a"), unlabelled=True)
    assert data.unlabelled is not None
    both = joined(data.train, data.unlabelled)
    images = torch.cat([images_of(data.train), images_of(data.unlabelled)])
    for picked in ([0, 1], [4, 0, 3, 1], [2, 4], [3]):
        found, masks = both.batch(picked)
        assert torch.equal(found, images[picked])
        assert [bool((mask == NOTHING_KNOWN).all()) for mask in masks] == [k >= 2 for k in picked]


def test_what_is_wrong_with_them_is_told_by_the_check_before_training(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a")
    (folder / UNLABELLED / "p7_1.png").write_bytes(b"damaged")
    assert any("p7_1" in one for one in describe_folder(folder).anomalies)
    assert not any("p7_1" in one for one in describe_folder(folder).nameless)
    with pytest.raises(DataError, match="above the limit"):
        load(folder, unlabelled=True)
    for path in (folder / UNLABELLED).iterdir():
        path.unlink()
    assert describe_folder(folder).stops
    with pytest.raises(DataError, match="unlabelled/ is empty"):
        check_sites({"a": folder})
