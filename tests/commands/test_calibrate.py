"""`fedefm calibrate`: the same weights with what was measured in their header, or one line and no file."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.data.synth.site import write_site
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights, save_weights
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "north"
    write_site(folder, "human", frames=44, size=32, seed=0, corpus=CLASSES)
    return folder


@pytest.fixture
def theta(tmp_path: Path) -> Path:
    path = tmp_path / "theta.safetensors"
    save_weights(path, initial_weights(SMALLEST, 4, 32, 0), spec=SMALLEST, classes=CLASSES, size=32)
    return path


def test_the_weights_stay_and_the_header_knows(
    theta: Path, hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "known.safetensors"
    assert main(["calibrate", str(theta), "--site", f"north={hospital}", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    before, after = load_weights(theta), load_weights(out)
    assert after.sha256 == before.sha256 and after.assurance.to_dict() == told
    [look] = after.assurance.looks
    assert look.images >= 20 and look.validated >= 5 and len(look.centre) == 10
    assert str(hospital) not in out.read_bytes()[:100_000].decode("latin-1")


def test_too_few_images_leave_no_file(
    theta: Path, hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "known.safetensors"
    command = ["calibrate", str(theta), "--site", f"north={hospital}", "--out", str(out), "--least-images", "1000"]
    assert main(command) != 0
    said = capsys.readouterr().err
    assert "too few images" in said and said.count("\n") == 1 and not out.exists()


def test_the_text_says_what_was_measured(
    theta: Path, hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "known.safetensors"
    assert main(["calibrate", str(theta), "--sites", str(hospital.parent), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "confidence:" in said and "familiar images: of 1 of 1 hospitals" in said
