"""Each rule finds what it is for, and sound folders are left in peace."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.describe import describe, describe_folder
from fedefm.data.inspection.shift import better_place, in_words
from fedefm.data.inspection.suspects import OFF_LINE, suspects
from fedefm.data.inspection.whole import Inspection, inspect_folder
from support.angiograms import angiogram, put, site
from support.dicom_files import dicom


def why(inspection: Inspection) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for one in suspects(inspection.seen, inspection.class_names, inspection.evidence.links):
        found[one.place] = f"{found.get(one.place, '')}|{one.why}"
    return found


def cine(folder: Path, stem: str, grey: np.ndarray, mask: np.ndarray) -> None:
    (folder / f"images/{stem}.dcm").write_bytes(dicom(16 * grey.astype(np.uint16), 12))
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(folder / f"masks/{stem}.nii.gz"))


def frames(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    pictures = [angiogram(seed, shift=k) for k in range(count)]
    return np.stack([grey for grey, _ in pictures]), np.stack([mask for _, mask in pictures])


def test_a_sound_folder_has_nothing_suspicious(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {f"x{20 * k}": angiogram(k) for k in range(24)})
    assert why(inspect_folder(folder)) == {}


@pytest.mark.parametrize(
    ("how", "turn"),
    [
        ("with x and y swapped", lambda mask: mask.T),
        ("mirrored left to right", lambda mask: mask[:, ::-1]),
        ("mirrored top to bottom", lambda mask: mask[::-1]),
        ("turned upside down", lambda mask: mask[::-1, ::-1]),
        ("turned a quarter to the right", lambda mask: np.rot90(mask)),
        ("turned a quarter to the left", lambda mask: np.rot90(mask, -1)),
        ("with x and y swapped, then turned upside down", lambda mask: mask[::-1, ::-1].T),
    ],
)
def test_masks_that_lie_otherwise_than_their_images(how: str, turn: object, tmp_path: Path) -> None:
    """The words say what is to be done to the mask: it was turned the other way."""
    pictures = {f"x{20 * k}": angiogram(k, height=80, width=80) for k in range(5)}
    wrong = {stem: (grey, np.ascontiguousarray(turn(mask))) for stem, (grey, mask) in pictures.items()}  # type: ignore[operator]
    inspection = inspect_folder(site(tmp_path / "a", wrong))
    text = "\n".join(describe(inspection).anomalies)
    for name in ("guidewire", "catheter"):
        assert f"masks of class {name!r} lie on dark lines only {how}, in 5 of 5 frames" in text
    assert len(why(inspection)) == 5


def test_a_mask_far_off_its_device_is_told_where_it_would_fit(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {f"x{20 * k}": angiogram(k) for k in range(8)})
    grey, mask = angiogram(99)
    moved = np.roll(mask, (-9, 4), (0, 1))
    put(folder, "off", (grey, moved))
    found = why(inspect_folder(folder))
    assert set(found) == {("off", 0)} and found["off", 0].count(OFF_LINE) == 2
    assert better_place(grey.astype(np.float32), moved == 2) == (9, -4)
    assert in_words((9, -4)) == "9 down and 4 to the left (pixels)"
    assert better_place(grey.astype(np.float32), mask == 2) is None


def test_specks_and_areas_that_no_other_mask_has(tmp_path: Path) -> None:
    pictures = {f"x{20 * k}": angiogram(k) for k in range(24)}
    folder = site(tmp_path / "a", pictures)
    grey, mask = angiogram(99)
    mask[2, 2] = 1
    put(folder, "speck", (grey, mask))
    grey, mask = angiogram(98)
    mask[(mask == 2) & (np.arange(96) > 20)] = 0
    put(folder, "small", (grey, mask))
    found = why(inspect_folder(folder))
    assert found == {
        ("speck", 0): "|guidewire has 1 part of at most 4 pixels",
        ("small", 0): found["small", 0],
    }
    assert "|catheter has 1/" in found["small", 0] and "of its usual area" in found["small", 0]


def test_a_class_that_is_missing_between_two_frames_and_one_in_few_of_a_cine(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {"x": angiogram(1)})
    grey, mask = frames(3, 12)
    mask[5][mask[5] == 1] = 0
    cine(folder, "gap", grey, mask)
    grey, mask = frames(4, 20)
    annotated = np.zeros_like(mask)
    annotated[[5, 12]] = mask[[5, 12]]
    cine(folder, "few", grey, annotated)
    inspection = inspect_folder(folder)
    assert why(inspection) == {
        ("gap", 5): "|guidewire is missing between two frames that have it",
        ("few", 5): "|guidewire is in 2 of 20 frames; were the others looked at?"
        "|catheter is in 2 of 20 frames; were the others looked at?",
    }
    notices = [one for one in describe(inspection).anomalies if "in few frames" in one]
    assert len(notices) == 2 and all("first few: 2 of 20; frames that nobody looked at" in one for one in notices)
    assert not any("few:" in one for one in describe(inspection).nameless)


def test_files_of_a_series_are_a_sequence_as_a_cine_is(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {f"run1_f{k:02d}": angiogram(3, shift=k) for k in range(10)})
    put(folder, "run1_f04", (angiogram(3, shift=4)[0], np.zeros((80, 96), np.uint8)))
    assert set(why(inspect_folder(folder))) == {("run1_f04", 0)}


def test_outliers_of_size_and_grey_values(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {f"x{20 * k}": angiogram(k) for k in range(60)})
    put(folder, "large", angiogram(99, height=100, width=96))
    grey, mask = angiogram(98)
    put(folder, "dark", (grey // 8, mask))
    found = why(inspect_folder(folder))
    assert found["large", 0] == "|of a rare size"
    assert "brightest grey values are far from those of the others" in found["dark", 0] and len(found) == 2


def test_processes_of_their_own_find_the_same(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {f"x{20 * k}": angiogram(k) for k in range(70)})
    done: list[tuple[int, int]] = []
    assert describe_folder(folder, processes=2, progress=lambda *at: done.append(at)) == describe_folder(folder)
    assert done == [(k, 70) for k in range(1, 71)]
