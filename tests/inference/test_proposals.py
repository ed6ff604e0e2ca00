"""What a segmented run says of its source, its weights and its masks."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedefm.data.readers import read_mask
from fedefm.errors import ConfigError, DataError
from fedefm.inference.proposals import PROPOSALS, read_proposals
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from support.runs import CLASSES, bright, pictures, square


@pytest.fixture
def result(tmp_path: Path) -> Path:
    segment(open_run(pictures(tmp_path / "run", 3)), bright(), tmp_path / "out", Wanted(("nifti",), None))
    return tmp_path / "out"


def test_it_knows_source_weights_and_the_hash_of_each_mask(result: Path, tmp_path: Path) -> None:
    found = read_proposals(result)
    assert (found.model, found.classes, found.rows, found.columns) == ("0" * 64, CLASSES, 120, 200)
    assert str(tmp_path) not in (result / PROPOSALS).read_text() and "frame1" not in (result / PROPOSALS).read_text()
    files = sorted((tmp_path / "run").iterdir())
    assert [(found.source.open(one).path, one.sha256, one.frames) for one in found.source.files] == [
        (path, hashlib.sha256(path.read_bytes()).hexdigest(), 1) for path in files
    ]
    masks = read_mask(result / "labels.nii.gz").astype(np.uint8)
    assert [one.mask for one in found.frames] == [
        hashlib.sha256(b"120x200\0" + mask.tobytes()).hexdigest() for mask in masks
    ]
    assert all(0.5 < one.probabilities[0] <= 1 and one.probabilities[1] is None for one in found.frames)


@pytest.mark.parametrize("name", [".hidden.png", "a b\u00e9'\"$.png", "x" * 200 + ".png"])
def test_any_name_of_a_file_will_do(name: str, tmp_path: Path) -> None:
    Image.fromarray(square()).save(tmp_path / name, "PNG")
    segment(open_run(tmp_path / name), bright(), tmp_path / "out", Wanted((), None))
    source = read_proposals(tmp_path / "out").source
    file = source.open(source.files[0])
    assert file.path == tmp_path / name and file.shape == (1, 120, 200)


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(version=2),
        lambda plain: plain.update(rows=0),
        lambda plain: plain.update(columns=10**6),
        lambda plain: plain.update(frames=plain["frames"][1:]),
        lambda plain: plain["frames"][0].update(mask="x"),
        lambda plain: plain["frames"][0].update(probabilities=[2.0]),
        lambda plain: plain["source"].update(path="/etc/passwd"),
        lambda plain: plain["source"]["files"][0].update(frames=10**9),
        lambda plain: plain["source"]["files"][0].update(sha256="../run.dcm"),
        lambda plain: plain["source"]["files"][0].update(sha256=""),
    ],
)
def test_what_no_command_wrote_is_refused(change: Callable[[dict], Any], result: Path) -> None:
    plain = json.loads((result / PROPOSALS).read_text())
    change(plain)
    (result / PROPOSALS).write_text(json.dumps(plain))
    with pytest.raises(ConfigError, match=PROPOSALS):
        read_proposals(result)


def test_a_folder_without_it_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="segment the run again"):
        read_proposals(tmp_path)
