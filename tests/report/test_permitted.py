"""What may leave says nothing of few images, and nothing by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.describe import describe
from fedefm.data.folder import IMAGES, MASKS
from fedefm.data.inspection.whole import inspect_folder
from fedefm.data.png_file import write_png
from fedefm.data.readers import READERS
from fedefm.errors import ConfigError
from fedefm.exchange.bounds import FORMATS
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.report.permitted import SPLIT_NAMES, _held, permitted
from support.angiograms import angiogram, put, site

COUNTS = st.fixed_dictionaries({split: st.integers(0, 30) for split in SPLIT_NAMES})


def silo(folder: Path, frames: int, **said: Any) -> Path:
    """Images of 10 x 20 with greys 0, 51, ..., 255; the catheter covers 10 % of the even ones."""
    (folder / IMAGES).mkdir(parents=True)
    (folder / MASKS).mkdir()
    for k in range(frames):
        mask = np.zeros((10, 20), np.uint8)
        mask[0] = k % 2 == 0
        write_png(folder / IMAGES / f"QUIXOTE{k:02}.png", np.repeat(greys()[None], 10, 0))
        write_png(folder / MASKS / f"QUIXOTE{k:02}.png", mask)
    names = [f"QUIXOTE{k:02}" for k in range(frames)]
    plain = {
        "classes": {"0": "background", "1": "catheter"},
        "splits": {"train": names[:-6], "test": names[-6:]},
        **said,
    }
    (folder / "dataset.json").write_text(json.dumps(plain))
    return folder


def greys() -> np.ndarray:
    return np.repeat(np.arange(0, 256, 51.2).astype(np.uint8), 4)


def told_of(folder: Path, least: int) -> dict[str, Any]:
    inspection = inspect_folder(folder)
    told = permitted(inspection, describe(inspection), least)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    return told


@given(COUNTS, st.integers(1, 8))
def test_no_count_is_small_and_none_can_be_had_from_the_sum(counts: dict[str, int], least: int) -> None:
    shown = _held(counts, least)
    assert all(shown[split] in (counts[split], None) for split in counts)
    assert all(value is None or value == 0 or value >= least for value in shown.values())
    hidden = sum(counts[split] for split, value in shown.items() if value is None)
    told = [split for split, value in shown.items() if value]
    assert hidden == 0 or hidden >= least or not told


def test_it_counts_what_is_there(tmp_path: Path) -> None:
    told = told_of(silo(tmp_path / "a", 20), 1)
    assert told["frames"] == {"train": 14, "val": 0, "test": 6} and told["least"] == 1
    assert told["classes"] == {"catheter": {"train": 7, "val": 0, "test": 3, "undecided": 0, "share": 0.1}}
    assert told["sizes"] == [{"columns": 20, "rows": 10, "files": 20}] and told["bits"] == [{"bits": 8, "files": 20}]
    assert (told["corpus"], told["patients"], told["trains"], told["synthetic"]) == (["catheter"], 20, True, False)
    assert told["spacing_mm"] == {"median": None, "files": 0} and told["formats"] == {"PNG": 20}
    for name, percentile in (("dark", 1), ("middle", 50), ("bright", 99)):
        assert told["grey"][name] == pytest.approx(np.percentile(greys(), percentile) / 255, rel=5e-3)


def test_patients_and_splits_are_those_of_training(tmp_path: Path) -> None:
    folder = site(tmp_path / "here", {f"run{r}_f{k}": angiogram(r, shift=k) for r in range(8) for k in range(3)})
    told, inspection = told_of(folder, 1), inspect_folder(folder)
    assert told["patients"] == 8
    assert told["frames"] == {split: list(inspection.split_of.values()).count(split) for split in SPLIT_NAMES}


def test_what_rests_on_few_images_stays_and_none_at_all_is_told(tmp_path: Path) -> None:
    told = told_of(silo(tmp_path / "a", 20), 6)
    assert told["frames"] == {"train": 14, "val": 0, "test": 6}
    assert told["classes"]["catheter"] == {"train": 7, "val": 0, "test": None, "undecided": 0, "share": 0.1}
    told = told_of(silo(tmp_path / "c", 20), 7)
    assert told["frames"] == {"train": None, "val": 0, "test": None}  # 14 of 20 would tell the 6
    hidden = told_of(silo(tmp_path / "b", 20), 21)
    assert (
        hidden["sizes"] == hidden["bits"] == [] and hidden["formats"] == {} and set(hidden["grey"].values()) == {None}
    )
    assert hidden["patients"] is None and hidden["classes"]["catheter"]["share"] is None


def test_few_of_anything_are_held_back(tmp_path: Path) -> None:
    folder = site(tmp_path / "here", {f"x{20 * k}": angiogram(k) for k in range(40)})
    put(folder, "odd", angiogram(99, height=100))
    (folder / "images/bad.png").write_bytes(b"nothing")
    (folder / "masks/bad.png").write_bytes(b"nothing")
    told = told_of(folder, LEAST_IMAGES)
    assert told["sizes"] == []  # 40 of 41 would tell that one is odd
    assert told["unreadable"] is None


def test_a_class_that_few_do_not_hold_is_held_back(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a", 20)
    for k in range(0, 14):
        mask = np.zeros((10, 20), np.uint8)
        mask[0] = k > 1
        write_png(folder / MASKS / f"QUIXOTE{k:02}.png", mask)
    assert told_of(folder, 3)["classes"]["catheter"]["train"] is None
    assert told_of(folder, 2)["classes"]["catheter"]["train"] == 12


def test_a_class_that_is_not_annotated_is_not_counted_and_a_union_decides_nothing(tmp_path: Path) -> None:
    classes = {"0": "background", "1": "catheter|guidewire"}
    told = told_of(silo(tmp_path / "a", 20, classes=classes), 1)
    assert told["classes"]["guidewire"] == {"train": 0, "val": 0, "test": 0, "undecided": 10, "share": None}
    more = {"0": "background", "1": "catheter", "2": "vessel"}
    told = told_of(silo(tmp_path / "b", 20, classes=more, annotated=["vessel"], test_annotated=["catheter"]), 1)
    assert (told["classes"]["catheter"]["train"], told["classes"]["catheter"]["test"]) == (0, 3)


def test_what_nobody_looked_at_is_no_class(tmp_path: Path) -> None:
    told = told_of(silo(tmp_path / "a", 20, classes={"0": "ignore", "1": "catheter", "2": "background"}), 1)
    assert told["corpus"] == ["catheter"] and set(told["classes"]) == {"catheter"}


def test_no_name_of_a_file_is_in_it(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a", 20)
    (folder / IMAGES / "QUIXOTE00.png").write_bytes(b"damaged")
    told = told_of(folder, 1)
    assert told["unreadable"] == 1 and "QUIXOTE" not in json.dumps(told)


def test_classes_that_are_named_after_the_folder_are_not_told(tmp_path: Path) -> None:
    folder = site(tmp_path / "Miller-1970", {f"x{20 * k}": angiogram(k) for k in range(8)})
    (folder / "dataset.json").unlink()
    told = told_of(folder, LEAST_IMAGES)
    assert "Miller" not in json.dumps(told) and set(told["classes"]) == {"value 1", "value 2"} == set(told["corpus"])


def test_a_folder_that_cannot_be_trained_says_so(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a", 20)
    (folder / MASKS / "QUIXOTE00.png").unlink()
    assert told_of(folder, 1)["trains"] is False


def test_a_least_below_one_is_refused(tmp_path: Path) -> None:
    inspection = inspect_folder(silo(tmp_path / "a", 8))
    with pytest.raises(ConfigError, match="give 1 or more"):
        permitted(inspection, describe(inspection), 0)


def test_the_server_knows_every_format() -> None:
    assert {reader.format for reader in READERS} == set(FORMATS)
