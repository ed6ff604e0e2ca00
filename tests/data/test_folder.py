"""Which files are images and masks, and which belong together: names of any system, and what systems leave behind."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.cli import main
from fedefm.data.describe import describe_folder
from fedefm.data.folder import list_images, list_masks, list_pairs
from fedefm.data.readers import open_file, read_image, stem_of
from fedefm.errors import DataError
from support.dicom_files import dicom

GREY = np.random.default_rng(0).integers(0, 1024, (20, 24)).astype(np.uint16)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Five images with masks."""
    folder = tmp_path / "site"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for k in range(5):
            write_png(folder / part / f"p{k}.png")
    (folder / "dataset.json").write_text('{"classes": {"0": "background", "1": "guidewire"}}')
    return folder


def write_png(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray((GREY > 500).astype(np.uint8)), str(path.with_suffix(".png")))
    path.with_suffix(".png").rename(path)


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "System Volume Information", ".snap"]
)
def test_folders_of_systems_are_passed_over(site: Path, name: str) -> None:
    for part in ("images", "masks"):
        (site / part / name).mkdir()
        (site / part / name / "p0.png").write_bytes(b"x")
    assert [pair.stem for pair in list_pairs(site)] == [f"p{k}" for k in range(5)]


@pytest.mark.parametrize("name", ["._p0.png", "Thumbs.db", "DICOMDIR", "desktop.ini", ".DS_Store"])
def test_files_of_systems_are_passed_over(site: Path, name: str) -> None:
    (site / "images" / name).write_bytes(b"x")
    assert len(list_images(site)) == 5


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_that_look_alike_belong_together(site: Path, forms: tuple[str, str]) -> None:
    for part, form in zip(("images", "masks"), forms, strict=True):
        write_png(site / part / unicodedata.normalize(form, "déroulé_Å.png"))
    assert unicodedata.normalize("NFC", "déroulé_Å") in [pair.stem for pair in list_pairs(site)]
    assert not describe_folder(site).stops


def test_a_name_in_latin_1_is_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("images", "masks"):
        (site / part / "p0.png").rename(os.fsdecode(os.fsencode(site / part) + b"/M\xfcller.png"))
    assert main(["data", "check", str(site)]) == DataError.exit_code
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "Müller.png" in said.err and "not in UTF-8" in said.err and not said.out
    bad = Path(os.fsdecode(os.fsencode(site / "images") + b"/M\xfcller.png"))
    with pytest.raises(DataError, match="not in UTF-8"):
        open_file(bad)
    above = Path(os.fsdecode(os.fsencode(site.parent) + b"/K\xf6ln"))
    site.rename(above)
    with pytest.raises(DataError, match="a folder above it, is not in UTF-8"):
        list_masks(above)


@pytest.mark.parametrize(
    ("image", "stem"),
    [
        ("IM0001.IMA", "IM0001"),
        ("I0001.XA", "I0001"),
        ("run.seg.dcm", "run"),
        ("XA.1.2.840.7", "XA.1.2.840.7"),
        ("1.2.840.113.dcm", "1.2.840.113"),
        ("IM_0001", "IM_0001"),
        ("00000001.DCX", "00000001"),
    ],
)
def test_dicom_under_any_ending(tmp_path: Path, image: str, stem: str) -> None:
    (tmp_path / image).write_bytes(dicom(GREY, 10))
    assert stem_of(tmp_path / image) == stem
    np.testing.assert_array_equal(read_image(tmp_path / image).frames[0], GREY)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("p0.avi", "a video"),
        ("p0.MP4", "a video"),
        ("p0.json", "fedefm data import coco"),
        ("p0.xml", "fedefm data import cvat"),
        ("p0.zip", "an archive; unpack it"),
        ("p0.nhdr", "in two files"),
        ("p0.docx", "of no format that is read .PNG, JPEG, TIFF"),
        ("p0", "of no format that is read"),
    ],
)
def test_what_is_not_read_is_named(site: Path, name: str, word: str) -> None:
    (site / "images/p0.png").unlink()
    (site / "images" / name).write_bytes(b"RIFF" + bytes(400))
    with pytest.raises(DataError, match=word) as caught:
        open_file(site / "images" / name)
    assert "truncated" not in str(caught.value)
    found = describe_folder(site)
    assert found.unreadable == 1 and any(name in line for line in found.anomalies)


def test_a_mask_with_a_longer_name_is_pointed_out(site: Path) -> None:
    (site / "masks/p3.png").rename(site / "masks/p3.mask.png")
    with pytest.raises(DataError, match=r"p3\.png has no mask .*give masks/p3\.mask\.png the name of its image"):
        list_pairs(site)


def test_a_dangling_link_and_an_empty_file_are_told_apart(site: Path) -> None:
    (site / "images/p0.png").unlink()
    (site / "images/p0.png").symlink_to("/nowhere/p0.png")
    (site / "images/p1.png").write_bytes(b"")
    lines = "\n".join(describe_folder(site).anomalies)
    assert "cannot open p0.png: No such file or directory" in lines and "p1.png: the file is empty" in lines


def test_the_same_fault_in_many_files_is_one_line(site: Path) -> None:
    for k in range(5):
        (site / f"masks/p{k}.png").unlink()
        picture = sitk.GetImageFromArray((GREY > 500).astype(np.uint8))
        sitk.WriteImage(picture, str(site / f"masks/p{k}.jpg"))
    told = [line for line in describe_folder(site).anomalies if "JPEG" in line]
    assert told == [
        "p0.jpg: a mask in JPEG, which blurs class numbers; save it as PNG from the source (and 4 more files)"
    ]
    (site / "dataset.json").unlink()
    with pytest.raises(DataError, match="a mask in JPEG"):
        describe_folder(site)
