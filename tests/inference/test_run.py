"""A run that is named by its path."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.errors import CheckpointError, ConfigError, DataError
from fedefm.inference.model import load
from fedefm.inference.run import segment
from support.runs import pictures, weights


def test_paths_may_be_text_and_the_labels_are_those_of_the_loaded_model(tmp_path: Path) -> None:
    model = weights(tmp_path / "theta.safetensors")
    run, out, told = pictures(tmp_path / "run", 2), tmp_path / "out", []
    summary = segment(
        str(run),
        str(model),
        str(out),
        formats=["png"],
        video=None,
        device="cpu",
        progress=lambda done, total: told.append((done, total)),
    )
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["model"]["sha256"] == load(model).sha256 and told == [(1, 2), (2, 2)]
    for name, picture in (("0001.png", "frame1.png"), ("0002.png", "frame2.png")):
        labels = np.asarray(Image.open(out / "labels" / name))
        np.testing.assert_array_equal(labels, load(model)(np.asarray(Image.open(run / picture))))


def test_what_cannot_be_used_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    model, run = weights(tmp_path / "theta.safetensors"), pictures(tmp_path / "run", 1)
    with pytest.raises(ConfigError, match="choose from png"):
        segment(run, model, tmp_path / "out", formats=["gif"])
    with pytest.raises(CheckpointError, match="no such file"):
        segment(run, tmp_path / "none", tmp_path / "out")
    with pytest.raises(DataError, match="no such file or folder"):
        segment(tmp_path / "none", model, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError):
        segment(run, model, run)
