"""What weights know of themselves is told of each device, tip and frame; and where they know nothing, that is told."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fedefm.cli import main
from fedefm.data.appearance import FIGURES, appearance
from fedefm.inference.predict import Network
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run
from fedefm.models.assurance import Assurance, Confidence, Look
from fedefm.models.checkpoint import load_weights, save_weights
from support.page_reader import read
from support.runs import CLASSES, bright, cine, pictures, square, weights
from support.small_networks import SMALLEST

HALF = Confidence(1e-3, 0.0, 12, 0.3, 0.01)
"""Makes of every score nearly 0.5."""


def look(centre: np.ndarray) -> Look:
    rows = tuple(tuple(row) for row in np.eye(FIGURES).tolist())
    return Look(tuple(centre.tolist()), rows, 40, 1.0, 12)


def knowing(assurance: Assurance) -> Network:
    network = bright()
    return Network(network.model, replace(network.checkpoint, assurance=assurance), network.device)


def shown(page: Path) -> str:
    return " ".join(read(page.read_text(encoding="utf-8")).text.split())


def seen(path: Path, network: Network) -> np.ndarray:
    """The figures of the frames as the network sees them."""
    from fedefm.data.letterbox import Letterbox, fit_images

    run = open_run(path)
    box = Letterbox(*run.shape[1:], network.checkpoint.size)
    return appearance(np.stack([fit_images(scale.normalise(f)[None], box)[0, 0].numpy() for f, scale in run.frames()]))


def test_devices_and_tips_have_a_calibrated_confidence_everywhere(tmp_path: Path) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(3)]))
    out = tmp_path / "out"
    summary = segment(open_run(path), knowing(Assurance(HALF)), out, Wanted(("seg", "page"), None))
    assert summary["confidence"]["calibrated"] and summary["confidence"]["validation_images"] == 12
    assert summary["confidence"]["by_class"] == {"catheter": pytest.approx(0.5, abs=0.01), "guidewire": None}
    rows = list(csv.DictReader((out / "tips.csv").open()))
    assert len(rows) == 3
    for row in rows:
        assert float(row["device_confidence"]) == pytest.approx(0.5, abs=0.01)
        assert float(row["tip_confidence"]) == pytest.approx(0.5, abs=0.01)
    found = pydicom.dcmread(out / "labels.seg.dcm")
    assert found.SegmentSequence[0].SegmentDescription.startswith("mean confidence 0.50")
    assert "SegmentDescription" not in found.SegmentSequence[1]
    for frame in found.PerFrameFunctionalGroupsSequence:
        assert frame.FrameContentSequence[0].FrameComments.startswith("confidence 0.50")
    assert "calibrated confidence" in shown(out / "index.html")


def test_the_masks_are_the_same_with_and_without(tmp_path: Path) -> None:
    path = pictures(tmp_path / "run", 2)
    segment(open_run(path), bright(), tmp_path / "plain", Wanted(("png",), None))
    known = Assurance(HALF, (look(np.zeros(FIGURES)),))
    segment(open_run(path), knowing(known), tmp_path / "known", Wanted(("png",), None))
    for one in (tmp_path / "plain" / "labels").iterdir():
        assert one.read_bytes() == (tmp_path / "known" / "labels" / one.name).read_bytes()


def test_where_nothing_was_measured_that_is_said_and_nothing_is_claimed(tmp_path: Path, capsys) -> None:
    model, run, out = weights(tmp_path / "theta.safetensors"), pictures(tmp_path / "run", 1), tmp_path / "out"
    assert main(["segment", str(run), "--model", str(model), "--out", str(out), "--no-video"]) == 0
    printed = capsys.readouterr().out
    assert "not calibrated" in printed and "unlike training: not known" in printed and "fedefm calibrate" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["confidence"]["calibrated"] is False and summary["unlike_training"]["measured"] is False
    for row in csv.DictReader((out / "tips.csv").open()):
        assert row["device_confidence"] == row["tip_confidence"] == ""
    assert "It is not calibrated" in shown(out / "index.html")


def test_frames_that_look_like_nothing_in_training_are_named_and_those_that_do_are_not(tmp_path: Path, capsys) -> None:
    path = cine(tmp_path / "run.dcm", np.stack([square(at=k) for k in range(4)]))
    figures = seen(path, bright())
    near = segment(open_run(path), knowing(Assurance(None, (look(figures[0]),))), tmp_path / "near", Wanted(("page",)))
    assert near["unlike_training"]["frames"] == 0 and near["unlike_training"]["of_threshold"][0] == 0
    assert "like nothing" not in shown(tmp_path / "near" / "index.html").split("How unlike training")[0]
    assert "How unlike training" in shown(tmp_path / "near" / "index.html")
    away = Assurance(None, (look(figures[0] + 10), look(figures[0] - 20)))
    far = segment(open_run(path), knowing(away), tmp_path / "far", Wanted(("page",), None))
    assert far["unlike_training"]["frames"] == 4
    assert far["unlike_training"]["of_threshold"][0] == pytest.approx(10, abs=0.01)
    assert "All frames look like nothing that these weights were trained on" in shown(tmp_path / "far/index.html")


def test_the_terminal_warns_too(tmp_path: Path, capsys) -> None:
    found = load_weights(weights(tmp_path / "theta.safetensors"))
    assurance = Assurance(None, (look(np.full(FIGURES, 1000.0)),))
    model = tmp_path / "known.safetensors"
    save_weights(model, found.weights, spec=SMALLEST, classes=CLASSES, size=found.size, assurance=assurance)
    run = pictures(tmp_path / "run", 1)
    assert main(["segment", str(run), "--model", str(model), "--out", str(tmp_path / "out"), "--no-video"]) == 0
    assert "note: All frames look like nothing that these weights were trained on" in capsys.readouterr().out
