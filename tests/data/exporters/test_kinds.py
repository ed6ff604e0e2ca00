"""A silo to other layouts, and back again by import."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.cli import main
from fedefm.data.exporters.frames import to_whole
from fedefm.data.exporters.kinds import export_site
from fedefm.data.manifest import Manifest, load_manifest, write_manifest
from fedefm.data.png_file import write_png
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import ConfigError, DataError

CLASSES = {0: "background", 7: "catheter", 9: "guidewire"}


def silo(folder: Path, **more: object) -> Path:
    """Six patients with two frames each; catheter is 7 and guidewire 9."""
    source = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for patient in "abcdef":
        for frame in (1, 2):
            write_png(folder / f"images/{patient}_{frame}.png", source.integers(0, 256, (20, 26), dtype=np.uint8))
            mask = source.choice(np.array([0, 7, 9], np.uint8), (20, 26), p=[0.8, 0.1, 0.1])
            write_png(folder / f"masks/{patient}_{frame}.png", mask)
    splits = {"train": tuple("abc"), "val": ("d",), "test": tuple("ef")}
    write_manifest(Manifest("north", CLASSES, patients="^(?P<patient>[^_]+)_", splits=splits, **more), folder)
    return folder


@pytest.mark.parametrize("kind", ["nnunet", "coco"])
def test_there_and_back(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site, out, again = silo(tmp_path / "north"), tmp_path / "Dataset101_North", tmp_path / "again"
    assert main(["data", "export", kind, str(site), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"train": 6, "val": 2, "test": 4}
    assert main(["data", "import", kind, str(out), str(again), "--patients", r"^(?P<patient>[^_]+)_"]) == 0
    splits = load_manifest(again).splits
    assert splits is not None
    assert {split: set(patients) for split, patients in splits.items()} == {
        "train": set("abc"), "val": {"d"}, "test": set("ef"),
    }  # fmt: skip
    for mask in (site / "masks").iterdir():
        stem = (
            f"{mask.stem[0]}__{mask.stem}" if kind == "nnunet" else f"{mask.stem[0]}__{_split(mask.stem)}-{mask.stem}"
        )
        back = read_mask(again / f"masks/{stem}.png")
        assert np.array_equal(np.array([0, 7, 9])[back], read_mask(mask))
        image = read_image(again / f"images/{stem}.png")
        assert np.array_equal(image.frames, read_image(site / f"images/{mask.name}").frames)
    assert main(["data", "check", str(again)]) == 0


def _split(stem: str) -> str:
    return {"d": "val", "e": "test", "f": "test"}.get(stem[0], "train")


def test_nnunet_goes_from_name_to_number_and_keeps_the_splits(tmp_path: Path) -> None:
    out = tmp_path / "Dataset007_N"
    export_site("nnunet", silo(tmp_path / "north"), out)
    content = json.loads((out / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "catheter": 1, "guidewire": 2} and content["numTraining"] == 8
    [fold] = json.loads((out / "splits_final.json").read_text())
    assert sorted(fold["val"]) == ["d_1", "d_2"] and len(fold["train"]) == 6
    assert sorted(p.name for p in (out / "imagesTs").iterdir()) == [f"{p}_{k}_0000.png" for p in "ef" for k in (1, 2)]


def test_coco_has_boxes_and_areas(tmp_path: Path) -> None:
    site = silo(tmp_path / "north")
    export_site("coco", site, tmp_path / "out")
    content = json.loads((tmp_path / "out/annotations/instances_val.json").read_text())
    mask = read_mask(site / "masks/d_1.png")[0]
    first = next(one for one in content["annotations"] if one["category_id"] == 2)
    rows, columns = np.nonzero(mask == 9)
    left, top = columns.min(), rows.min()
    assert first["bbox"] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
    assert first["area"] == len(rows)


def test_what_a_split_does_not_annotate_is_background_in_it(tmp_path: Path) -> None:
    site = silo(tmp_path / "north", annotated=("catheter",), test_annotated=("guidewire",))
    export_site("nnunet", site, tmp_path / "Dataset001_N")
    trained = read_mask(tmp_path / "Dataset001_N/labelsTr/a_1.png")
    tested = read_mask(tmp_path / "Dataset001_N/labelsTs/e_1.png")
    assert set(np.unique(trained)) == {0, 1} and set(np.unique(tested)) == {0, 2}


def test_a_cine_becomes_one_case_a_frame(tmp_path: Path) -> None:
    site = tmp_path / "cine"
    for part in ("images", "masks"):
        (site / part).mkdir(parents=True)
    frames = np.arange(3 * 20 * 26, dtype=np.int16).reshape(3, 20, 26) - 500
    sitk.WriteImage(sitk.GetImageFromArray(frames), str(site / "images/run.nii"))
    sitk.WriteImage(sitk.GetImageFromArray((frames > 900).astype(np.uint8)), str(site / "masks/run.nii"))
    write_manifest(Manifest("cine", {0: "background", 1: "catheter"}), site)
    export_site("nnunet", site, tmp_path / "Dataset002_C")
    for k in range(3):
        grey = read_image(tmp_path / f"Dataset002_C/imagesTr/run-{k:04d}_0000.png").frames[0]
        assert np.array_equal(grey - grey.min(), frames[k] - frames[k].min())
        assert np.array_equal(read_mask(tmp_path / f"Dataset002_C/labelsTr/run-{k:04d}.png")[0], frames[k] > 900)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0, 255]], [[0, 255]]),
        ([[-10, 300]], [[0, 310]]),
        ([[0.4, 99.6]], [[0, 100]]),
        ([[0, 131070]], [[0, 65535]]),
    ],
)
def test_grey_values_are_kept_where_16_bits_hold_them(values: list, expected: list) -> None:
    assert to_whole(np.array(values, np.float32)).tolist() == expected


def test_a_union_is_a_category_of_coco_and_nothing_that_nnunet_has(tmp_path: Path) -> None:
    site = silo(tmp_path / "north")
    write_manifest(Manifest("north", {0: "background", 7: "vessel", 9: "catheter|guidewire"}), site)
    export_site("coco", site, tmp_path / "out")
    content = json.loads(next((tmp_path / "out/annotations").iterdir()).read_text())
    assert [one["name"] for one in content["categories"]] == ["vessel", "catheter|guidewire"]
    assert {one["category_id"] for one in content["annotations"]} == {1, 2}
    with pytest.raises(DataError, match="export as coco"):
        export_site("nnunet", site, tmp_path / "Dataset001_N")


def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    site = silo(tmp_path / "north")
    with pytest.raises(ConfigError, match="Dataset101_north2"):
        export_site("nnunet", site, tmp_path / "north-2")
    with pytest.raises(ConfigError, match="use one of nnunet, coco"):
        export_site("yolo", site, tmp_path / "x")
    with pytest.raises(ConfigError, match="lies in the silo"):
        export_site("coco", site, site / "coco")
    write_png(site / "masks/a_1.png", np.full((20, 26), 3, np.uint8))
    with pytest.raises(DataError, match="value 3 is not in the classes"):
        export_site("coco", site, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["north"]
