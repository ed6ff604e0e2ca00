"""A MONAI bundle whose parts give the masks of this package, and whose metadata is by MONAI's schema."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, MetaProperties
from PIL import Image

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.export.monai_bundle import MONAI, PACKAGES, refuse_expressions
from fedefm.inference.model import load
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import save_weights
from support.runs import CLASSES, weights
from support.small_networks import SMALLEST

# Of https://project-monai.github.io/schema/meta_schema_20240725.json, with the types of their values.
REQUIRED = {
    "schema": str,
    "version": str,
    "monai_version": str,
    "pytorch_version": str,
    "numpy_version": str,
    "required_packages_version": dict,
    "task": str,
    "description": str,
    "authors": str,
    "copyright": str,
    "network_data_format": dict,
}
OF_A_TENSOR = {
    "type": str,
    "format": str,
    "num_channels": int,
    "spatial_shape": list,
    "dtype": str,
    "value_range": list,
    "is_patch_data": bool,
    "channel_def": dict,
}


@pytest.fixture(scope="module")
def theta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "theta.safetensors")


@pytest.fixture(scope="module")
def bundle(theta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "bundle"
    assert main(["export", str(theta), "--format", "monai", "--licence", "CC BY 4.0", "--out", str(out)]) == 0
    return out


def test_it_holds_these_files_and_no_python(bundle: Path) -> None:
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == {
        "configs/metadata.json",
        "configs/inference.json",
        "models/model.ts",
        "docs/README.md",
        "LICENSE",
    }
    assert "Weights: CC BY 4.0" in (bundle / "LICENSE").read_text()


def test_monai_makes_the_masks_of_this_package(bundle: Path, theta: Path, tmp_path: Path) -> None:
    """Its own transforms, inferer and TorchScript, as the configuration names them; one picture after another."""
    source, pictures, out = np.random.default_rng(0), tmp_path / "pictures", tmp_path / "labels"
    pictures.mkdir()
    images = {
        "wide.png": source.integers(0, 256, (40, 70)).astype(np.uint8),
        "high.PNG": source.integers(0, 60000, (90, 33)).astype(np.uint16),
        "square.bmp": source.integers(0, 256, (64, 64)).astype(np.uint8),
    }
    for name, image in images.items():
        Image.fromarray(image).save(pictures / name)
    (pictures / "notes.txt").write_text("no picture")
    config = ConfigParser()
    config.read_config(bundle / "configs" / "inference.json")
    config.update({"bundle_root": str(bundle), "dataset_dir": str(pictures), "output_dir": str(out)})
    config["device"] = "$torch.device('cpu')"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for batch in config.get_parsed_content("dataloader"):
            pred = config.get_parsed_content("inferer")(batch["image"], config.get_parsed_content("network_def"))
            config.get_parsed_content("postprocessing")({"image": batch["image"][0], "pred": pred[0]})
    model = load(theta)
    written = {path.stem: np.asarray(Image.open(path)) for path in out.iterdir()}
    assert sorted(written) == ["high", "square", "wide"]
    for name, image in images.items():
        found = written[Path(name).stem]
        assert found.dtype == np.uint8 and len(np.unique(found)) > 1
        np.testing.assert_array_equal(found, model(image))


def test_the_configuration_has_what_monai_asks_of_one(bundle: Path) -> None:
    config = ConfigParser()
    config.read_config(bundle / "configs" / "inference.json")
    config.read_meta(bundle / "configs" / "metadata.json")
    wanted = {**InferProperties, **MetaProperties}
    missing = [name for name, about in wanted.items() if about["required"] and about["id"] not in config]
    assert missing == []


def test_the_metadata_is_by_the_schema(bundle: Path) -> None:
    plain = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert {name: type(plain.get(name)) for name in REQUIRED} == REQUIRED
    formats = plain["network_data_format"]
    for tensor in (formats["inputs"]["image"], formats["outputs"]["pred"]):
        assert {name: type(tensor.get(name)) for name in OF_A_TENSOR} == OF_A_TENSOR
    assert formats["outputs"]["pred"]["channel_def"] == {"0": "background", "1": CLASSES[0], "2": CLASSES[1]}


def test_the_versions_are_those_that_are_tested() -> None:
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()
    tested = dict(re.findall(r"^([\w-]+)==(\S+)", constraints, re.MULTILINE))
    assert tested["monai"] == MONAI
    assert {name: tested[name] for name in PACKAGES} == PACKAGES


@pytest.mark.parametrize("name", ["$__import__('os').getcwd()", "@device", "%inference.json::device"])
def test_a_name_that_monai_would_run_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The class names come with the weights, from another's machine; MONAI evaluates text that begins like this."""
    path = tmp_path / "theta.safetensors"
    save_weights(path, initial_weights(SMALLEST, 3, 64, 0), spec=SMALLEST, classes=("wire", name), size=64)
    code = main(["export", str(path), "--format", "monai", "--out", str(tmp_path / "out")])
    assert code == ConfigError.exit_code and "MONAI would run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_counts_as_a_name() -> None:
    with pytest.raises(ConfigError, match="MONAI would run"):
        refuse_expressions({"weights": [{"$x": 1}]})
    refuse_expressions({"price": "5 $", "mail": "a@b", "share": 0.5})
