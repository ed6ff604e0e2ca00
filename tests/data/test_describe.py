"""The summary counts what is there and lists everything that training would stumble over."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.describe import describe_folder
from fedefm.errors import DataError
from support.dicom_files import dicom


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    mask = np.zeros((16, 20), np.uint8)
    mask[:4] = 1
    for stem in ("a", "b", "c"):
        save(draw.integers(0, 256, (16, 20)).astype(np.uint8), tmp_path / f"images/{stem}.png")
        save(mask, tmp_path / f"masks/{stem}.png")
    (tmp_path / "images/d.dcm").write_bytes(dicom(np.arange(5 * 320, dtype=np.uint16).reshape(5, 16, 20), 12))
    save(np.stack([mask] * 5), tmp_path / "masks/d.nii.gz")
    splits = {"train": ["d"], "val": ["a"], "test": ["b", "c"]}
    (tmp_path / "dataset.json").write_text(
        json.dumps({"name": "x", "classes": {"0": "background", "1": "catheter"}, "splits": splits})
    )
    return tmp_path


def test_a_sound_folder_in_figures(folder: Path) -> None:
    summary = describe_folder(folder)
    assert (summary.images, summary.frames, summary.cines, summary.unreadable, summary.patients) == (4, 8, 1, 0, 4)
    assert summary.formats == {"PNG": 3, "DICOM": 1}
    assert summary.bits == {8: 3, 12: 1}
    assert summary.sizes == {"20 x 16": 4}
    assert summary.splits == {"train": 5, "val": 1, "test": 2}
    assert [(one.value, one.name, one.share, one.frames) for one in summary.mask_values] == [
        (0, "background", 0.75, 8),
        (1, "catheter", 0.25, 8),
    ]
    assert summary.anomalies == ()
    assert not summary.inferred
    assert "nothing wrong" in str(summary)
    plain = summary.to_json()
    assert json.loads(json.dumps(plain))["mask_values"][1]["name"] == "catheter"


def test_everything_wrong_is_listed_at_once(folder: Path) -> None:
    (folder / "images/a.png").write_bytes(b"")
    (folder / "masks/b.png").unlink()
    save(np.zeros((16, 16), np.uint8), folder / "masks/c.png")
    save(np.full((16, 20), 3, np.uint8), folder / "images/e.png")
    save(np.full((16, 20), 9, np.uint8), folder / "masks/e.png")
    save(np.zeros((16, 20), np.uint8), folder / "masks/z.png")
    summary = describe_folder(folder)
    text = "\n".join(summary.anomalies)
    for expected in (
        "a.png: the file is empty",
        "images/b.png has no mask",
        "masks/c.png is 16 x 16 x 1",
        "images/e.png is of one grey value",
        "mask value 9 is not in the classes",
        "masks/z.png has no image",
        "patient 'e' is in no split",
        "1 of 5 files cannot be used",
    ):
        assert expected in text
        assert f"look at: {expected}" in str(summary) or expected in str(summary)
    assert summary.unreadable == 1
    stops = " ".join(summary.stops)
    assert len(summary.stops) == 6 and all(one.endswith("; training would stop here") for one in summary.stops)
    assert all(
        word in stops for word in ("b.png has no mask", "c.png", "value 9", "'e' is in no split", "1 of 5 files")
    )


def test_an_unexplained_folder_says_how_to_explain_it(folder: Path) -> None:
    (folder / "dataset.json").unlink()
    summary = describe_folder(folder)
    assert summary.inferred
    assert any('write dataset.json with "classes"' in anomaly for anomaly in summary.anomalies)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        describe_folder(tmp_path / "x")
