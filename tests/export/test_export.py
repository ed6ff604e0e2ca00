"""ONNX that gives what torch gives, and a model card."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fedefm.cli import main
from fedefm.errors import CheckpointError, ConfigError
from fedefm.export.export import CARD_FILE, ONNX_FILE
from fedefm.models.build import build_model, initial_weights
from fedefm.models.checkpoint import load_weights, save_weights
from small_networks import SMALLEST


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_weights(path, initial_weights(SMALLEST, 3, 64, 0), spec=SMALLEST, classes=("catheter", "wire"), size=64)
    return path


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    assert main(["export", str(model), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_another_runtime_gives_what_torch_gives(model: Path, exported: Path, batch: int) -> None:
    network = build_model(SMALLEST, 3, 64)
    network.load_state_dict(load_weights(model).weights)
    images = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        ours = network.eval()(images).numpy()
    session = onnxruntime.InferenceSession(str(exported / ONNX_FILE), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"image": images.numpy()})[0]
    assert theirs.shape == ours.shape and np.abs(theirs - ours).max() < 1e-4


def test_the_card_says_what_the_model_is_and_that_nothing_else_is_known(model: Path, exported: Path) -> None:
    card = (exported / CARD_FILE).read_text()
    assert load_weights(model).sha256 in card
    assert "| 1 | catheter |" in card and "Not a medical device" in card
    assert "Unknown: no report.json" in card


def test_what_cannot_be_exported_leaves_nothing(
    model: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model), "--out", str(exported)]) == ConfigError.exit_code
    altered = tmp_path / "altered.safetensors"
    data = bytearray(model.read_bytes())
    data[-5] ^= 1
    altered.write_bytes(data)
    assert main(["export", str(altered), "--out", str(tmp_path / "out")]) == CheckpointError.exit_code
    assert capsys.readouterr().err.count("\n") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["altered.safetensors"]
