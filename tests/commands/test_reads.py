"""A command reads each weights file once: what was read is handed on, its path is not read again."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from fedefm.models import checkpoint
from support.thetas import write_theta


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of weights is opened, by its name. Nothing but `load_weights` opens one to read it."""
    counted: Counter[str] = Counter()
    really_open = checkpoint.safe_open

    def count(path: Path, *args: Any, **options: Any) -> Any:
        counted[Path(path).name] += 1
        return really_open(path, *args, **options)

    monkeypatch.setattr(checkpoint, "safe_open", count)
    return counted


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that weights which were read or are saved are hashed."""
    counted: list[int] = []
    really_hash = checkpoint.weights_sha256

    def count(weights: Any) -> str:
        counted.append(len(weights))
        return really_hash(weights)

    monkeypatch.setattr(checkpoint, "weights_sha256", count)
    return counted


@pytest.fixture
def theta(tmp_path: Path) -> Path:
    (tmp_path / "foundation").mkdir()
    return write_theta(tmp_path / "foundation" / "theta.safetensors")


@pytest.mark.parametrize("how", ["--local-only", "--patience=1"])
def test_a_fine_tune_reads_theta_once(
    how: str, theta: Path, consortium: dict[str, Path], tmp_path: Path, reads: Counter[str]
) -> None:
    command = ["finetune", "--theta", str(theta), "--site", f"east={consortium['east']}", "--steps", "2", how]
    assert main([*command, "--rounds", "1", "--in-process", "--json", "--out", str(tmp_path / "out")]) == 0
    assert reads == {"theta.safetensors": 1}


def test_an_evaluation_reads_and_hashes_each_model_once(
    theta: Path, consortium: dict[str, Path], tmp_path: Path, reads: Counter[str], hashes: list[int]
) -> None:
    for name in ("east", "north"):
        write_theta(theta.parent / "models" / f"{name}.safetensors")
    hashes.clear()
    command = ["evaluate", "--run", str(theta.parent), "--site", f"east={consortium['east']}", "--in-process", "--json"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert reads == {"theta.safetensors": 1, "east.safetensors": 1, "north.safetensors": 1}
    assert len(hashes) == 3


def test_segment_and_export_read_the_model_once(
    theta: Path, tmp_path: Path, reads: Counter[str], hashes: list[int]
) -> None:
    Image.fromarray(np.arange(48 * 48, dtype=np.uint16).astype(np.uint8).reshape(48, 48)).save(tmp_path / "frame.png")
    hashes.clear()
    command = ["segment", str(tmp_path / "frame.png"), "--model", str(theta), "--no-video", "--json"]
    assert main([*command, "--out", str(tmp_path / "segmented")]) == 0
    assert reads == {"theta.safetensors": 1} and len(hashes) == 1
    assert main(["export", str(theta), "--out", str(tmp_path / "exported")]) == 0
    assert reads == {"theta.safetensors": 2} and len(hashes) == 2
