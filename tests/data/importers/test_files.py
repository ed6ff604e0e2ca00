"""Pictures by the names that annotations give them, and splits in paths."""

from pathlib import Path

import numpy as np
import pytest

from fedefm.data.folder import list_pairs
from fedefm.data.importers.collection import Options
from fedefm.data.importers.files import Pictures, bare_name, ending_of, list_files, split_in
from fedefm.data.importers.run import import_source
from fedefm.data.png_file import write_png
from fedefm.data.readers import read_mask
from fedefm.errors import DataError
from support.exports import turned


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("dataset_phase_1/segmentation_dataset/seg_train/annotations/seg_train.json", "train"),
        ("dataset_final_phase/test_case_segmentation/annotations/instances_default.json", "test"),
        ("annotations/instances_train2017.json", "train"),
        ("x/validation/a.json", "val"),
        ("training/images", "train"),
        ("Test/a.json", "test"),
        ("train/val.json", "val"),
        ("trained/constraint/latest/values.json", None),
        ("instances_default.json", None),
    ],
)
def test_the_last_word_of_a_path_is_its_split(path: str, split: str | None) -> None:
    assert split_in(path) == split


def test_a_name_means_the_picture_whose_path_ends_with_it(tmp_path: Path) -> None:
    source = touched(tmp_path / "s", "train/images/1.png", "val/images/1.png", "val/a.json", "flat.png")
    pictures = Pictures(source)
    assert pictures.find("1.png", source / "val/a.json") == source / "val/images/1.png"
    assert pictures.find("train/images/1.png", source / "val/a.json") == source / "train/images/1.png"
    assert pictures.find("/home/me/set/train/images/1.png", source / "val/a.json") == source / "train/images/1.png"
    assert pictures.find("C:\\set\\flat.png", source / "val/a.json") == source / "flat.png"
    assert pictures.find("case/flat.png", source / "val/a.json") == source / "flat.png"


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ("a/Bild.PNG", "a/bild.png"),
        ("a/Bild.png", "A\\BILD.PNG"),
        ("a/caf\u00e9.png", "cafe\u0301.png"),
        ("a/cafe\u0301.png", "a/caf\u00e9.png"),
    ],
)
def test_a_name_is_the_same_in_capitals_and_with_accents_of_another_system(
    stored: str, named: str, tmp_path: Path
) -> None:
    source = touched(tmp_path, stored)
    assert Pictures(source).find(named, tmp_path / "a.json") == source / stored


def test_capitals_count_where_both_are_there(tmp_path: Path) -> None:
    source = touched(tmp_path, "a.png", "A.png")
    assert Pictures(source).find("A.png", tmp_path / "a.json") == source / "A.png"
    with pytest.raises(DataError, match="may be"):
        Pictures(source).find("a.PNG", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("1.png", "may be"),
        ("other/1.png", "nowhere"),
        ("2.png", "nowhere"),
        ("", "nowhere"),
        ("../../x.png", "nowhere"),
    ],
)
def test_another_picture_is_never_taken_for_it(name: str, word: str, tmp_path: Path) -> None:
    touched(tmp_path, "x.png")
    source = touched(tmp_path / "s", "train/1.png", "val/1.png")
    with pytest.raises(DataError, match=word):
        Pictures(source).find(name, source / "a.json")


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", ".b.png", "__MACOSX/c.png", "d/@eaDir/e.png", "d/f.PNG", "d/.git/g.png", "h.txt")
    assert [path.name for path in list_files(tmp_path)] == ["a.png", "f.PNG"]


def test_names_and_endings() -> None:
    assert [ending_of(Path(name)) for name in ("a.nii.gz", "a.b.NPY", "a")] == [".nii.gz", ".npy", ""]
    assert [bare_name(Path(name)) for name in ("a.nii.gz", "a.b.NPY", "a")] == ["a", "a.b", "a"]


def test_a_mask_stored_from_another_corner_lies_on_its_image(tmp_path: Path) -> None:
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 4:6, 2:20] = 1
    (tmp_path / "src/img").mkdir(parents=True)
    write_png(tmp_path / "src/img/a.png", np.arange(600).reshape(20, 30).astype(np.uint16))
    turned(labels, tmp_path / "src/mask/a.nii.gz")
    said = Options(images="img/*.png", masks="mask/*.nii.gz", classes={"1": "catheter"})
    import_source("folders", tmp_path / "src", tmp_path / "dst", said)
    (pair,) = list_pairs(tmp_path / "dst")
    assert pair.mask.suffix == ".png" and (read_mask(pair.mask) == labels).all()
