"""One TorchScript file that labels grey images as `fedefm segment` does."""

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedefm.cli import main
from fedefm.data.letterbox import Letterbox
from fedefm.errors import CheckpointError, ConfigError
from fedefm.export import torchscript_file
from fedefm.export.torchscript_file import CARD_FILE, FACTS, TORCHSCRIPT_FILE
from fedefm.export.whole import WholeWay
from fedefm.inference.model import Segmenter, load
from fedefm.models.checkpoint import load_weights
from support.runs import CLASSES, weights


@pytest.fixture(scope="module")
def theta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "theta.safetensors")


@pytest.fixture(scope="module")
def model(theta: Path) -> Segmenter:
    return load(theta)


@pytest.fixture(scope="module")
def exported(theta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    assert main(["export", str(theta), "--format", "torchscript", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def script(exported: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(exported / TORCHSCRIPT_FILE))


def frames(kind: str) -> np.ndarray:
    source = np.random.default_rng(3)
    if kind == "8 bits, wide":
        return source.integers(0, 256, (3, 40, 70)).astype(np.uint8)
    if kind == "16 bits, high":
        return source.integers(0, 65536, (2, 150, 33)).astype(np.uint16)
    if kind == "negative":
        return source.integers(-900, 900, (1, 64, 64)).astype(np.int16)
    if kind == "more than go together":
        return source.normal(size=(9, 20, 30)).astype(np.float32)
    if kind == "one value":
        return np.full((2, 30, 30), 7, np.uint8)
    if kind == "two values, the second beyond the percentile":
        lonely = np.zeros((1, 50, 50), np.uint8)
        lonely[0, 3, 3] = 200
        return lonely
    if kind == "one line":
        return source.integers(0, 256, (1, 1, 90)).astype(np.uint8)
    padded = source.normal(500, 90, (2, 50, 80)).astype(np.float32)
    padded[:, :9] = np.nan
    return padded if kind == "padding" else np.full((1, 20, 20), np.nan, np.float32)


KINDS = ("8 bits, wide", "16 bits, high", "negative", "more than go together", "one value", "one line", "padding")
KINDS += ("two values, the second beyond the percentile", "nothing but padding")


def as_input(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32))[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_what_the_package_gives(model: Segmenter, script: Any, kind: str) -> None:
    image = frames(kind)
    np.testing.assert_array_equal(script.labels(as_input(image)).numpy(), model(image))
    found = script(as_input(image)).numpy()
    np.testing.assert_allclose(found, model.probabilities(image), atol=1e-5)  # rounding of another memory layout
    torch.testing.assert_close(script.prepare(as_input(image)), model.prepare(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [64, 96, 224])
def test_it_fits_every_picture_as_the_package_does(size: int) -> None:
    """Halves are rounded to even numbers in both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(WholeWay(torch.nn.Identity(), size, CLASSES))
    for height in range(1, 700, 11):
        for width in (1, 37, 96, 128, 333, 512, 701):
            assert script.inner(height, width) == Letterbox(height, width, size).inner


def test_it_says_what_it_is(exported: Path, script: Any, theta: Path) -> None:
    assert script.classes == ["background", *CLASSES] and script.size == 64
    assert not any(value.requires_grad for value in script.parameters())
    with zipfile.ZipFile(exported / TORCHSCRIPT_FILE) as file:
        (facts,) = [name for name in file.namelist() if name.endswith(FACTS)]
        assert json.loads(file.read(facts))["sha256"] == load_weights(theta).sha256
    card = (exported / CARD_FILE).read_text()
    assert f'torch.jit.load("{TORCHSCRIPT_FILE}"' in card and "TorchScript differs from torch by at most" in card


def test_no_path_of_this_machine_is_in_it(exported: Path) -> None:
    with zipfile.ZipFile(exported / TORCHSCRIPT_FILE) as file:
        content = b"".join(file.read(name) for name in file.namelist())
    for place in (Path(torch.__file__).parents[1], Path(torchscript_file.__file__).parents[2]):
        assert str(place).encode() not in content


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.zeros(1, 3, 20, 20), "grey"),
        (torch.zeros(20, 20), "frames, 1, rows, columns"),
        (torch.zeros(0, 1, 20, 20), "frames, 1, rows, columns"),
        (torch.full((1, 1, 20, 20), torch.inf), "infinite"),
    ],
    ids=["colours", "no frames", "empty", "infinite"],
)
def test_what_is_no_grey_image_is_refused(script: Any, image: torch.Tensor, said: str) -> None:
    with pytest.raises(Exception, match=said):
        script(image)


def test_a_file_that_disagrees_is_not_kept(theta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedefm.export.whole.BLACK", 0.0)
    out = tmp_path / "out"
    code = main(["export", str(theta), "--format", "torchscript", "--out", str(out)])
    assert code == CheckpointError.exit_code and list(tmp_path.iterdir()) == []


def test_a_format_that_is_not_known_is_refused(theta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["export", str(theta), "--format", "pickle", "--out", str(tmp_path / "out")])
    assert code == ConfigError.exit_code
    assert "choose from onnx, torchscript, monai, hf" in capsys.readouterr().err
