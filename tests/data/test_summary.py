import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedefm.data.folder import IMAGES, MASKS
from fedefm.data.png_file import write_png
from fedefm.data.summary import site_summary
from fedefm.errors import ConfigError


def silo(folder: Path, frames: int, **said: Any) -> Path:
    """Images of 10 x 20 with greys 0, 51, ..., 255; the catheter covers 10 % of the even ones."""
    (folder / IMAGES).mkdir(parents=True)
    (folder / MASKS).mkdir()
    for k in range(frames):
        mask = np.zeros((10, 20), np.uint8)
        mask[0] = k % 2 == 0
        write_png(
            folder / IMAGES / f"QUIXOTE{k:02}.png",
            np.repeat(np.arange(0, 256, 51.2)[None], 10, 0).repeat(4, 1).astype(np.uint8),
        )
        write_png(folder / MASKS / f"QUIXOTE{k:02}.png", mask)
    names = [f"QUIXOTE{k:02}" for k in range(frames)]
    plain = {
        "classes": {"0": "background", "1": "catheter"},
        "splits": {"train": names[:-6], "test": names[-6:]},
        **said,
    }
    (folder / "dataset.json").write_text(json.dumps(plain))
    return folder


def test_it_counts_what_is_there(tmp_path: Path) -> None:
    told = site_summary(silo(tmp_path / "a", 20), 1)
    assert told["frames"] == {"train": 14, "val": 0, "test": 6}
    assert told["classes"] == {"catheter": {"train": 7, "val": 0, "test": 3, "undecided": 0, "share": 0.1}}
    assert told["sizes"] == [{"columns": 20, "rows": 10, "files": 20}] and told["bits"] == [{"bits": 8, "files": 20}]
    assert (told["corpus"], told["patients"], told["trains"], told["synthetic"]) == (["catheter"], 20, True, False)
    assert told["spacing_mm"] == {"median": None, "files": 0}
    grey = np.repeat(np.arange(0, 256, 51.2).astype(np.uint8), 4)
    for name, percentile in (("dark", 1), ("middle", 50), ("bright", 99)):
        assert told["grey"][name] == pytest.approx(np.percentile(grey, percentile) / 255, abs=1e-6)


def test_what_rests_on_few_images_stays_and_none_at_all_is_told(tmp_path: Path) -> None:
    told = site_summary(silo(tmp_path / "a", 20), 7)
    assert told["frames"] == {"train": 14, "val": 0, "test": None}
    assert told["classes"]["catheter"] == {"train": 7, "val": 0, "test": None, "undecided": 0, "share": 0.1}
    hidden = site_summary(silo(tmp_path / "b", 20), 21)
    assert hidden["sizes"] == hidden["bits"] == [] and set(hidden["grey"].values()) == {None}
    assert hidden["patients"] is None and hidden["classes"]["catheter"]["share"] is None


def test_a_class_that_is_not_annotated_is_not_counted_and_a_union_decides_nothing(tmp_path: Path) -> None:
    classes = {"0": "background", "1": "catheter|guidewire"}
    told = site_summary(silo(tmp_path / "a", 20, classes=classes), 1)
    assert told["classes"]["guidewire"] == {"train": 0, "val": 0, "test": 0, "undecided": 10, "share": None}
    more = {"0": "background", "1": "catheter", "2": "vessel"}
    told = site_summary(silo(tmp_path / "b", 20, classes=more, annotated=["vessel"], test_annotated=["catheter"]), 1)
    assert (told["classes"]["catheter"]["train"], told["classes"]["catheter"]["test"]) == (0, 3)


def test_no_name_of_a_file_is_in_it(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a", 20)
    (folder / IMAGES / "QUIXOTE00.png").write_bytes(b"damaged")
    told = site_summary(folder, 1)
    assert told["unreadable"] == 1 and "QUIXOTE" not in json.dumps(told)


def test_a_folder_that_cannot_be_trained_says_so(tmp_path: Path) -> None:
    folder = silo(tmp_path / "a", 20)
    (folder / MASKS / "QUIXOTE00.png").unlink()
    assert site_summary(folder, 1)["trains"] is False


def test_a_least_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give 1 or more"):
        site_summary(tmp_path, 0)
