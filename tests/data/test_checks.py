"""What is wrong between hospitals is found before any training."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.checks import check_sites
from fedefm.errors import DataError


def make_site(folder: Path, *classes: str, stems: int = 3, **more: object) -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for k in range(stems):
            pixels = np.eye(8, dtype=np.uint8) * (len(classes) or 7)
            sitk.WriteImage(sitk.GetImageFromArray(pixels), str(folder / part / f"a{k}.png"))
    if classes:
        named = {"0": "background", **{str(k): name for k, name in enumerate(classes, 1)}}
        (folder / "dataset.json").write_text(json.dumps({"classes": named, **more}))
    return folder


def test_the_union_is_sorted_and_a_given_list_is_kept(tmp_path: Path) -> None:
    folders = {"x": make_site(tmp_path / "x", "vessel", "catheter"), "y": make_site(tmp_path / "y", "guidewire")}
    assert check_sites(folders) == ("catheter", "guidewire", "vessel")
    given = ("vessel", "stent", "guidewire", "catheter")
    assert check_sites(folders, given) == given


@pytest.mark.parametrize("other", ["Guide wire", "guide-wire", "GUIDEWIRE", "guide_wire"])
def test_one_class_under_two_names_is_named(tmp_path: Path, other: str) -> None:
    folders = {"x": make_site(tmp_path / "x", "guidewire"), "y": make_site(tmp_path / "y", other)}
    with pytest.raises(DataError, match=f"x says 'guidewire' and y says '{other}'"):
        check_sites(folders)


@pytest.mark.parametrize("given", [("vessel",), (), ("background", "guidewire"), ("guidewire", "Guidewire")])
def test_a_given_list_must_be_sound_and_complete(tmp_path: Path, given: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="class"):
        check_sites({"x": make_site(tmp_path / "x", "guidewire")}, given)


def test_the_hospital_is_named_in_one_line(tmp_path: Path) -> None:
    good = make_site(tmp_path / "good", "vessel")
    bad = make_site(tmp_path / "bad", "vessel")
    (bad / "masks/a1.png").unlink()
    with pytest.raises(DataError, match=r"north: .*a1\.png has no mask") as caught:
        check_sites({"south": good, "north": bad})
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"east: .*no such folder"):
        check_sites({"east": tmp_path / "nowhere"})
    with pytest.raises(DataError, match="no hospital"):
        check_sites({})


def test_another_size_is_found_by_the_headers(tmp_path: Path) -> None:
    folder = make_site(tmp_path / "x", "vessel")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 9), np.uint8)), str(folder / "masks/a2.png"))
    with pytest.raises(DataError, match=r"a2\.png is 8 x 8 but its mask"):
        check_sites({"x": folder})


def test_unreadable_files_are_allowed_up_to_the_cap(tmp_path: Path) -> None:
    folder = make_site(tmp_path / "x", "vessel", stems=10)
    (folder / "images/a3.png").write_bytes(b"")
    assert check_sites({"x": folder}) == ("vessel",)
    (folder / "images/a4.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"x: 2 of 10 files .* a3\.png"):
        check_sites({"x": folder})


def test_splits_and_patients_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a9', who has no image"):
        check_sites({"x": make_site(tmp_path / "x", "vessel", splits={"train": ["a0", "a1", "a2", "a9"]})})
    with pytest.raises(DataError, match="patients does not match"):
        check_sites({"y": make_site(tmp_path / "y", "vessel", patients="^(?P<patient>p.)")})


@pytest.mark.filterwarnings("ignore:.*no dataset.json")
def test_unexplained_classes_are_never_shared(tmp_path: Path) -> None:
    folders = {"x": make_site(tmp_path / "x" / "data"), "y": make_site(tmp_path / "y" / "other")}
    assert check_sites(folders) == ("data", "other")
    for twin in (make_site(tmp_path / "z" / "data"), make_site(tmp_path / "w" / "stated", "data")):
        with pytest.raises(DataError, match="class 'data' is named after the folder and so is one of z"):
            check_sites({"x": folders["x"], "z": twin})
