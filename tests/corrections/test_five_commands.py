"""Segment, correct, add, fine-tune, segment again: what was corrected is rarer on patients that nobody corrected."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedefm.cli import main
from fedefm.data.nifti_file import nifti_bytes
from fedefm.data.nifti_header import Geometry
from fedefm.data.readers import read_mask
from fedefm.data.synth import write_site
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SIZE, CORRECTED = 64, 16


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def tune(site: Path, out: Path, steps: int, *more: object) -> Path:
    options = ("--steps", steps, "--rounds", 2, "--metric", "last", "--seed", 0, "--in-process", "--json")
    run("finetune", "--site", f"a={site}", "--out", out, *options, *more)
    return out / "tuned.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model that knows clean images on white; what lies behind devices in a chest it takes for devices."""
    write_site(tmp_path / "clean", "simulation", frames=24, size=SIZE, seed=0, corpus=CLASSES)
    network = ("--set", f"model={json.dumps(SMALLEST.to_dict())}", "--set", f"size={SIZE}")
    return tune(tmp_path / "clean", tmp_path / "base", 100, *network)


@pytest.fixture
def chests(tmp_path: Path) -> Path:
    """Chests of eight patients, four in each of two folders of pictures, with the truth beside them."""
    site = tmp_path / "site"
    write_site(site, "human", frames=2 * CORRECTED, size=SIZE, seed=100, corpus=CLASSES)
    for number, picture in enumerate(sorted((site / "images").iterdir())):
        place = tmp_path / ("corrected" if number < CORRECTED else "held")
        place.mkdir(exist_ok=True)
        shutil.copy(picture, place / picture.name)
    return site


def truth_of(folder: Path, site: Path) -> np.ndarray:
    return np.stack([read_mask(site / "masks" / picture.name)[0] for picture in sorted(folder.iterdir())])


def false_and_found(result: Path, truth: np.ndarray) -> tuple[float, float]:
    """Pixels a frame that are marked where nothing is, and the share of all others that are marked as something."""
    marked = read_mask(result / "labels.nii.gz") > 0
    return float((marked & (truth == 0)).sum() / len(marked)), float(marked[truth > 0].mean())


@pytest.mark.slow
def test_what_was_corrected_is_rarer_on_other_patients(base: Path, chests: Path, tmp_path: Path) -> None:
    def segment(source: str, model: Path, out: str) -> Path:
        run("segment", tmp_path / source, "--model", model, "--out", tmp_path / out, "--format", "nifti", "--no-video")
        return tmp_path / out

    held = truth_of(tmp_path / "held", chests)
    before, _ = false_and_found(segment("held", base, "held-before"), held)
    # the five commands
    segment("corrected", base, "segmented")
    run("correct", tmp_path / "segmented", "--frames", f"1-{CORRECTED}", "-o", tmp_path / "fix")
    right = truth_of(tmp_path / "corrected", chests).astype(np.uint8)
    (tmp_path / "fix/masks/corrected.nii.gz").write_bytes(nifti_bytes(right, Geometry.flat(None)))
    run("data", "add", tmp_path / "fix", "--to", tmp_path / "silo")
    tuned = tune(tmp_path / "silo", tmp_path / "tuned", 60, "--theta", base)
    after, found = false_and_found(segment("held", tuned, "held-after"), held)
    print(f"pixels a frame that are marked where nothing is, on held-out patients: {before:.1f}, then {after:.1f}")
    print(f"of what is there {found:.0%} is marked")
    assert after < before / 2 and found > 0.25  # who marks nothing makes no false marks either
