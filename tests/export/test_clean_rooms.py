"""Each exported form in an environment that holds its own tool, and not this package: the same masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedefm.cli import main
from fedefm.inference.model import Segmenter, load
from support.clean_room import CleanRoom
from support.markdown import blocks
from support.runs import weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def theta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "theta.safetensors")


@pytest.fixture(scope="module")
def model(theta: Path) -> Segmenter:
    return load(theta)


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    source = np.random.default_rng(5)
    return {
        "wide": source.integers(0, 256, (120, 200)).astype(np.uint8),
        "high": source.integers(0, 4096, (90, 33)).astype(np.uint16),
        "square": source.integers(0, 256, (64, 64)).astype(np.uint8),
    }


@pytest.fixture(scope="module")
def masks(
    theta: Path, images: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """As `fedefm segment --keep-shutter` writes them, picture by picture."""
    folder, found = tmp_path_factory.mktemp("segmented"), {}
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")
        command = ["segment", str(folder / f"{name}.png"), "--model", str(theta), "--out", str(folder / name)]
        assert main([*command, "--format", "png", "--no-video", "--keep-shutter"]) == 0
        (label,) = (folder / name / "labels").iterdir()
        found[name] = np.asarray(Image.open(label))
        assert len(np.unique(found[name])) > 1
    return found


@pytest.fixture
def work(theta: Path, images: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A folder with the images as arrays and as pictures."""
    (tmp_path / "pictures").mkdir()
    np.savez(tmp_path / "images.npz", **images)
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / "pictures" / f"{name}.png")
    return tmp_path


def export(theta: Path, kind: str, out: Path) -> Path:
    assert main(["export", str(theta), "--format", kind, "--out", str(out)]) == 0
    return out


def room(tmp_path_factory: pytest.TempPathFactory, *tools: str) -> CleanRoom:
    folder = tmp_path_factory.mktemp("room")
    made = CleanRoom(folder / "venv", *tools)
    assert not made.has("fedefm", cwd=folder) and not made.has("nvflare", cwd=folder)
    return made


def same(found: Path, masks: dict[str, np.ndarray]) -> None:
    read = np.load(found)
    for name, mask in masks.items():
        np.testing.assert_array_equal(read[name], mask)


LABELS = """
images = np.load("images.npz")
found = {{}}
for name in images:
    image = torch.from_numpy(images[name].astype(np.float32))[None, None]
    found[name] = {labels}
np.savez("found.npz", **found)
"""


def test_torch_alone(
    theta: Path, work: Path, masks: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    export(theta, "torchscript", work / "exported")
    alone = room(tmp_path_factory, "torch", "numpy")
    assert not alone.has("segmentation_models_pytorch", cwd=work) and not alone.has("timm", cwd=work)
    code = 'import numpy as np, torch\nmodel = torch.jit.load("exported/model.ts")\n'
    alone.run("-c", code + LABELS.format(labels="model.labels(image)[0].numpy()"), cwd=work)
    same(work / "found.npz", masks)


def test_monai_by_its_own_command(
    theta: Path, work: Path, masks: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The command of the card, word for word but for the two folders."""
    bundle = export(theta, "monai", work / "bundle")
    monai = room(tmp_path_factory, "monai", "pytorch-ignite", "fire", "pillow")
    assert not monai.has("segmentation_models_pytorch", cwd=work)
    card = "\n".join(blocks((bundle / "docs" / "README.md").read_text())[0].lines).replace("\\\n", " ")
    (line,) = [line for line in card.splitlines() if line.startswith("python ")]
    words = [{"PICTURES": "../pictures", "LABELS": "../labels"}.get(word, word) for word in line.split()[1:]]
    monai.run(*words, cwd=bundle)
    for name, mask in masks.items():
        np.testing.assert_array_equal(np.asarray(Image.open(work / "labels" / f"{name}.png")), mask)
    assert len(list((work / "labels").iterdir())) == len(masks)
    files = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json", "--bundle_root", "."]
    monai.run(
        "-m", "monai.bundle", "verify_net_in_out", "--net_id", "network_def", "--device", "cpu", *files, cwd=bundle
    )


def test_segmentation_models_pytorch_by_the_card(
    theta: Path, work: Path, masks: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The network that the card's code builds, between the preparation and the restoration of `model.ts`."""
    repository = export(theta, "hf", work / "repository")
    library = room(tmp_path_factory, "segmentation-models-pytorch")
    block = next(one for one in blocks((repository / "README.md").read_text()) if "rebuild" in "".join(one.lines))
    code = "\n".join(block.lines).replace('rebuild(".")', 'rebuild("repository")')
    code += '\nimport numpy as np\nscript = torch.jit.load("repository/model.ts")\ntorch.set_grad_enabled(False)\n'
    labels = "script.restore(model(script.prepare(image)), image.shape[2], image.shape[3]).argmax(1)[0].numpy()"
    library.run("-c", code + LABELS.format(labels=labels), cwd=work)
    same(work / "found.npz", masks)


def test_onnxruntime_alone(
    theta: Path, model: Segmenter, work: Path, images: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The network alone: it takes what was prepared, and its masks lie on the network's square."""
    export(theta, "onnx", work / "exported")
    np.savez(work / "prepared.npz", **{name: model.prepare(image).numpy() for name, image in images.items()})
    alone = room(tmp_path_factory, "onnxruntime", "numpy")
    assert not alone.has("torch", cwd=work)
    code = """
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("exported/model.onnx")
images = np.load("prepared.npz")
np.savez("found.npz", **{name: session.run(None, {"image": images[name]})[0].argmax(1) for name in images})
"""
    alone.run("-c", code, cwd=work)
    with torch.no_grad():
        masks = {name: model.network(model.prepare(image)).argmax(1).numpy() for name, image in images.items()}
    same(work / "found.npz", masks)
