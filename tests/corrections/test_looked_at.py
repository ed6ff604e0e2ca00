"""Which frames a person looked at; and a folder that was in other hands is not trusted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from fedefm.corrections.choose import parse_frames
from fedefm.corrections.looked_at import LookedAt, looked_at
from fedefm.corrections.manifest import MANIFEST, read_corrections
from fedefm.data.nifti_file import nifti_bytes, nifti_header
from fedefm.data.nifti_header import Geometry
from fedefm.data.readers import read_mask
from fedefm.errors import ConfigError, DataError, FedefmError
from fedefm.metrics.overlap import dice
from support.corrected import draw, edit, rewritten, to_correct
from support.dicom_files import segmentation


def seen(fix: Path, *confirmed: str) -> list[LookedAt]:
    return looked_at(fix, read_corrections(fix), [parse_frames(text, "--confirmed") for text in confirmed])


def numbers(fix: Path, *confirmed: str) -> list[int]:
    return [one.frame.frame for one in seen(fix, *confirmed)]


def test_nobody_looked_at_what_is_as_it_was_proposed(tmp_path: Path) -> None:
    assert seen(to_correct(tmp_path)) == []


def test_a_changed_mask_counts_with_how_much_it_was_changed(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, draw)
    (one,) = seen(fix)
    before, after = (read_mask(fix / part / "run.nii.gz")[0] for part in ("proposed", "masks"))
    assert one.frame.frame == 2 and (one.labels == after).all()
    assert one.changed_pixels == (before != after).sum() == 500
    common = 2 * ((before == after) & (after > 0)).sum()
    assert one.dice == round(common / ((before > 0).sum() + (after > 0).sum()), 4) < dice(before == 1, after == 1)


def test_a_confirmed_mask_counts_by_either_way(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    assert numbers(fix, "4") == [4] and numbers(fix, "run:4-5") == [4, 5] and numbers(fix, "all") == [2, 4, 5]
    rewritten(fix, lambda plain: plain["runs"][0]["frames"][1].update(confirmed=True))
    (one,) = seen(fix)
    assert (one.frame.frame, one.changed_pixels, one.dice) == (4, 0, 1.0)
    for wrong, word in (("3", "holds the frames 2, 4, 5"), ("x:4", "no such run"), ("worst:1", "not the worst")):
        with pytest.raises(ConfigError, match=word):
            seen(fix, wrong)


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".mha", ".nii"])
def test_a_viewer_may_save_another_format_beside_the_first(ending: str, tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    first = edit(fix, draw)
    saved = SimpleITK.ReadImage(first)
    saved.CopyInformation(SimpleITK.ReadImage(fix / "images/run.nii.gz"))
    shutil.copy(fix / "proposed/run.nii.gz", first)
    SimpleITK.WriteImage(saved, fix / f"masks/run{ending}")
    assert numbers(fix) == [2]
    edit(fix, lambda masks: masks[1].fill(0))
    with pytest.raises(DataError, match="several masks"):
        seen(fix)


def test_a_part_that_was_saved_alone_is_put_into_its_place(tmp_path: Path) -> None:
    """3D Slicer stores no more than the box around what is marked."""
    fix = to_correct(tmp_path)
    place = edit(fix, draw)
    whole = SimpleITK.ReadImage(place)
    whole.CopyInformation(SimpleITK.ReadImage(fix / "images/run.nii.gz"))
    box = SimpleITK.RegionOfInterest(whole, [180, 60, 3], [0, 10, 0])
    shutil.copy(fix / "proposed/run.nii.gz", place)
    SimpleITK.WriteImage(box, fix / "masks/run.nrrd")
    (one,) = seen(fix)
    assert one.frame.frame == 2 and one.changed_pixels == 500


def test_masks_that_are_all_empty_need_a_word(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    edit(fix, lambda masks: masks.fill(0))
    with pytest.raises(DataError, match="confirm it with --confirmed"):
        seen(fix)
    assert numbers(fix, "all") == [2, 4, 5]


def written(shape: tuple[int, int, int]) -> bytes:
    return nifti_bytes(np.ones(shape, np.uint8), Geometry.flat(None))


def huge() -> bytes:
    """A header that promises 32,767 frames of 8192 x 8192, and some bytes."""
    return nifti_header((32767, 8192, 8192), Geometry.flat(None), np.dtype(np.uint8)) + bytes(9)


def link_to(target: str) -> Callable[[Path], None]:
    def change(fix: Path) -> None:
        (fix / "masks/run.nii.gz").unlink()
        (fix / "masks/run.nii.gz").symlink_to(target)

    return change


def masks(content: bytes, name: str = "run.nii.gz") -> Callable[[Path], None]:
    def change(fix: Path) -> None:
        (fix / "masks/run.nii.gz").unlink()
        (fix / "masks" / name).write_bytes(content)

    return change


def linked_folder(fix: Path) -> None:
    (fix / "masks").rename(fix.parent / "elsewhere")
    (fix / "masks").symlink_to(fix.parent / "elsewhere")


def linked_image(fix: Path) -> None:
    (fix / "images/run.nii.gz").rename(fix.parent / "image.nii.gz")
    (fix / "images/run.nii.gz").symlink_to(fix.parent / "image.nii.gz")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda fix: edit(fix, lambda m: m[1, 0, :].fill(7)), "value 7 in frame 4 is no class; there are 0 nothing"),
        (lambda fix: edit(fix, lambda m: m[0, 0, :].fill(255)), "value 255 in frame 2"),
        (masks(written((2, 120, 200))), "has 2 slices of 200 x 120, and its image 3 slices of 200 x 120"),
        (masks(written((3, 200, 120))), "slices of 120 x 200"),
        (masks(huge(), "run.nii"), "above 8192 a side or"),
        (masks(b"no mask"), "first bytes"),
        (masks(segmentation(np.ones((3, 120, 200)), [1, 1, 1])[:900], "run.seg.dcm"), "run.seg.dcm"),
        (lambda fix: (fix / "masks/run.nii.gz").unlink(), "no mask in masks/"),
        (link_to("/etc/passwd"), "no file of its own"),
        (link_to("../proposed/run.nii.gz"), "no file of its own"),
        (linked_folder, "no folder of its own"),
        (linked_image, "no file of its own"),
        (lambda fix: shutil.copy(edit(fix, draw), fix / "proposed/run.nii.gz"), "for frame 2 was changed in proposed/"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mask_that_does_not_fit_is_refused_in_one_line(
    change: Callable[[Path], Any], word: str, tmp_path: Path
) -> None:
    fix = to_correct(tmp_path)
    change(fix)
    with pytest.raises(DataError, match=word) as told:
        seen(fix)
    assert "\n" not in str(told.value)


def run_of(plain: dict) -> dict:
    return plain["runs"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: run_of(plain).update(name="../../run"),
        lambda plain: run_of(plain).update(name="/etc/passwd"),
        lambda plain: run_of(plain).update(name=".."),
        lambda plain: run_of(plain).update(name="a\nb"),
        lambda plain: run_of(plain).update(rows=10**9),
        lambda plain: run_of(plain).update(columns=0),
        lambda plain: run_of(plain).update(frames=[]),
        lambda plain: run_of(plain).update(frames=run_of(plain)["frames"][::-1]),
        lambda plain: run_of(plain).update(frames=run_of(plain)["frames"][:1] * 2),
        lambda plain: run_of(plain)["frames"][0].update(frame=-1),
        lambda plain: run_of(plain)["frames"][-1].update(frame=6),
        lambda plain: run_of(plain)["frames"][0].update(confirmed="yes"),
        lambda plain: run_of(plain)["frames"][0].update(proposed="0" * 63),
        lambda plain: run_of(plain)["source"].update(path="/etc/passwd"),
        lambda plain: run_of(plain)["source"]["files"][0].update(sha256="../../run.dcm"),
        lambda plain: run_of(plain)["source"]["files"][0].update(frames=10**9),
        lambda plain: run_of(plain)["source"].update(files=[]),
        lambda plain: plain.update(version=2),
        lambda plain: plain.update(model="../theta"),
        lambda plain: plain.update(classes=["background"]),
        lambda plain: plain.update(classes=[f"c{k}" for k in range(255)]),
        lambda plain: plain.update(runs=[]),
        lambda plain: plain.update(runs=plain["runs"] * 2),
        lambda plain: plain.update(more=1),
    ],
)
def test_a_manifest_that_no_command_wrote_is_refused(change: Callable[[dict], Any], tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    assert read_corrections(fix)
    rewritten(fix, change)
    with pytest.raises(ConfigError, match=MANIFEST) as told:
        seen(fix)
    assert "\n" not in str(told.value)


def test_a_manifest_is_a_file_of_its_own_and_of_bounded_size(tmp_path: Path) -> None:
    fix = to_correct(tmp_path)
    (fix / MANIFEST).rename(tmp_path / "elsewhere.json")
    (fix / MANIFEST).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="or a link"):
        seen(fix)
    (fix / MANIFEST).unlink()
    with (fix / MANIFEST).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="no file of at most"):
        seen(fix)
    (fix / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(FedefmError):
        seen(fix)
    (fix / MANIFEST).unlink()
    with pytest.raises(DataError, match="give the folder that `fedefm correct` made"):
        seen(fix)
