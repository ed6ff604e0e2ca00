"""A format is one reader class in the list: a throw-away one is then read by everything that reads images."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from jaxtyping import Int64

from fedefm.data import readers
from fedefm.data.checks import check_sites
from fedefm.data.dataset import load_site
from fedefm.data.describe import describe_folder
from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from support.runs import bright
from support.splits import images_of, masks_of

SHAPE = (2, 40, 48)
RANDOM = np.random.default_rng(0)


class Grid(Reader):
    """Frames, rows, columns and millimetres in the first line of a text, then the values."""

    format = "GRID"
    endings = (".grid", ".grid.txt")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        return head.startswith(b"GRID ")

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open() as file:
            _, frames, rows, columns, side = file.readline().split()
        self.shape, self.spacing_mm = (int(frames), int(rows), int(columns)), (float(side), float(side))

    def check_whole(self) -> None:
        if len(self._values()) != np.prod(self.shape):
            raise DataError(f"cannot read {self.path.name}: the grid has holes; count its numbers")

    def image(self) -> ImageFrames:
        return picture(self._values().reshape(self.shape), self.format, self.spacing_mm)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        return to_labels(self._values().reshape(self.shape), self.path.name)

    def _values(self) -> np.ndarray:
        return np.array(self.path.read_text().split()[5:], np.uint8)


def write_grid(path: Path, pixels: np.ndarray) -> None:
    path.write_text(f"GRID {' '.join(map(str, pixels.shape))} 0.3\n{' '.join(map(str, pixels.ravel().tolist()))}\n")


def write_nifti(path: Path, pixels: np.ndarray) -> None:
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.3, 0.3, 1.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """One hospital, in the new format and in NIfTI."""
    monkeypatch.setattr(readers, "READERS", (*readers.READERS, Grid))
    manifest = {"name": "x", "classes": {"0": "background", "1": "catheter"}}
    for part in ("images", "masks"):
        for name in ("new", "old"):
            (tmp_path / name / part).mkdir(parents=True)
            (tmp_path / name / "dataset.json").write_text(json.dumps(manifest))
        for k in range(11):
            pixels = RANDOM.integers(0, 256 if part == "images" else 2, SHAPE).astype(np.uint8)
            write_grid(tmp_path / f"new/{part}/p{k:02d}.grid{'.txt' * (k % 2)}", pixels)
            write_nifti(tmp_path / f"old/{part}/p{k:02d}.nii", pixels)
    return {name: tmp_path / name for name in ("new", "old")}


def test_data_check_counts_it(sites: dict[str, Path]) -> None:
    new, old = (describe_folder(sites[name]) for name in ("new", "old"))
    assert (new.formats, old.formats) == ({"GRID": 11}, {"NIFTI": 11})
    assert (new.frames, new.cines, new.sizes, new.bits) == (22, 11, {"48 x 40": 11}, {8: 11})
    assert new.mask_values == old.mask_values and new.splits == old.splits and new.anomalies == old.anomalies


def test_training_reads_it(sites: dict[str, Path]) -> None:
    assert check_sites({"new": sites["new"], "old": sites["old"]}) == ("catheter",)
    new, old = (load_site(sites[name], ("catheter",), 32) for name in ("new", "old"))
    for split in ("train", "val", "test"):
        one, other = getattr(new, split), getattr(old, split)
        assert (
            len(one) > 0
            and torch.equal(images_of(one), images_of(other))
            and torch.equal(masks_of(one), masks_of(other))
        )
        np.testing.assert_allclose(one.spacing_mm, other.spacing_mm)


def test_segment_reads_it(sites: dict[str, Path], tmp_path: Path) -> None:
    runs = [open_run(sites["new"] / "images/p00.grid"), open_run(sites["old"] / "images/p00.nii")]
    assert runs[0].shape == runs[1].shape == SHAPE
    assert runs[0].spacing_mm == pytest.approx(runs[1].spacing_mm)
    for (one, its_scale), (other, scale) in zip(*(run.frames() for run in runs), strict=True):
        np.testing.assert_array_equal(one, other)
        assert its_scale == scale
    summary = segment(runs[0], bright(), tmp_path / "out", Wanted(("nifti", "seg"), None))
    assert summary["frames"] == 2 and summary["not_written"] == {"seg": "the source is not DICOM"}
    assert open_run(tmp_path / "out/labels.nii.gz").shape == SHAPE


def test_its_own_words_reach_the_person(sites: dict[str, Path]) -> None:
    for spoilt in (sites["new"] / "images/p02.grid", sites["new"] / "images/p00.grid"):  # more than are left out
        spoilt.write_text(spoilt.read_text()[:-9])
    assert "cannot read p00.grid: the grid has holes; count its numbers" in describe_folder(sites["new"]).anomalies
    with pytest.raises(DataError, match="the grid has holes"):
        check_sites({"new": sites["new"], "old": sites["old"]})
    with pytest.raises(DataError, match="the grid has holes"):
        list(open_run(spoilt).frames())


def test_what_holds_another_format_is_named(sites: dict[str, Path]) -> None:
    path = sites["old"] / "images/p00.grid"
    (sites["old"] / "images/p00.nii").rename(path)
    with pytest.raises(DataError, match=r"p00\.grid holds NIFTI, not GRID"):
        open_run(path)
    path.write_text("no grid")
    with pytest.raises(DataError, match="its first bytes are not those of a GRID file"):
        open_run(path)


def test_its_size_is_bounded_before_it_is_asked_for_pixels(sites: dict[str, Path]) -> None:
    path = sites["new"] / "images/p00.grid"
    for sides, word in (("1 9000 9", "above 8192"), ("9999 8000 8000", "above 8192"), ("0 9 9", "no picture")):
        path.write_text(f"GRID {sides} 1\n")
        with pytest.raises(DataError, match=word):
            readers.read_image(path)
        with pytest.raises(DataError, match=word):
            list(readers.read_frames(readers.open_file(path)))
