"""A model repository whose weights give the same network again, by the library that its card names."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from huggingface_hub import ModelCard
from torch import nn

from fedefm.cli import main
from fedefm.errors import CheckpointError
from fedefm.export.hugging_face import _licence
from fedefm.export.rebuild import rebuild
from fedefm.inference.model import load
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.spec import ModelSpec
from support.markdown import blocks
from support.runs import CLASSES, weights

# A network in which the library builds no BatchNorm.
PLAIN = ModelSpec(
    "Unet",
    "tu-test_efficientnet_ln",
    {
        "encoder_depth": 4,
        "decoder_channels": [32, 24, 16, 8],
        "decoder_use_norm": {"type": "instancenorm", "affine": True},
    },
)


@pytest.fixture(scope="module")
def theta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "theta.safetensors")


@pytest.fixture(scope="module")
def repository(theta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "repository"
    assert main(["export", str(theta), "--format", "hf", "--licence", "CC BY 4.0", "--out", str(out)]) == 0
    return out


def images() -> torch.Tensor:
    return torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def test_the_code_of_the_card_gives_the_network_with_its_group_norms(repository: Path, theta: Path) -> None:
    code = next(block for block in blocks((repository / "README.md").read_text()) if "rebuild" in "".join(block.lines))
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec("\n".join(code.lines).replace('rebuild(".")', f"rebuild({str(repository)!r})"), names)
    model, ours = names["model"], load(theta).network
    assert sum(isinstance(layer, nn.GroupNorm) for layer in model.modules()) > 10
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())
    with torch.no_grad():
        torch.testing.assert_close(model(images()), ours(images()), atol=1e-4, rtol=0)  # another memory layout


def test_the_library_alone_refuses_what_it_would_build_wrongly(repository: Path, theta: Path) -> None:
    """Why the configuration does not name the class: with it, batches would decide what weights that fit by name do."""
    with pytest.raises(KeyError, match="_model_class"):
        smp.from_pretrained(str(repository))
    network = json.loads((repository / "config.json").read_text())["network"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = smp.create_model(**network).eval()
    wrong.load_state_dict(load_weights(theta).weights, strict=False)
    with torch.no_grad():
        assert not torch.allclose(wrong(images()), load(theta).network(images()), atol=0.01)


def test_a_network_that_the_library_knows_loads_by_its_own_call(tmp_path: Path) -> None:
    path, out = tmp_path / "theta.safetensors", tmp_path / "out"
    save_weights(path, initial_weights(PLAIN, 3, 64, 0), spec=PLAIN, classes=CLASSES, size=64)
    assert main(["export", str(path), "--format", "hf", "--out", str(out)]) == 0
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        theirs, ours = smp.from_pretrained(str(out)).eval(), load(path).network
        torch.testing.assert_close(theirs(images()), ours(images()), atol=1e-4, rtol=0)  # another memory layout
    assert 'smp.from_pretrained(".")' in (out / "README.md").read_text()


def test_weights_are_those_of_this_package_still(repository: Path, theta: Path) -> None:
    assert load(repository / "model.safetensors").sha256 == load(theta).sha256


def test_the_front_matter_is_what_the_hub_reads(repository: Path) -> None:
    card = ModelCard.load(repository / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "cc-by-4.0" and data["pipeline_tag"] == "image-segmentation"
    assert data["library_name"] == "segmentation-models-pytorch" and "federated-learning" in data["tags"]
    assert card.text.lstrip().startswith("# Model card") and "| 1 | catheter |" in card.text


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        (
            "Ours: ask\n---\nevil",
            {"license": "other", "license_name": "ours-ask-evil", "license_link": "LICENSE"},
        ),
        ("", {"license": "other", "license_name": "other", "license_link": "LICENSE"}),
    ],
)
def test_a_licence_is_an_identifier_or_a_name(typed: str, read: dict[str, str]) -> None:
    assert _licence(typed) == read


def test_a_repository_that_gives_another_network_is_not_kept(
    theta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_group(folder: str) -> nn.Module:
        model = rebuild(folder)
        for layer in model.modules():
            if isinstance(layer, nn.GroupNorm):
                layer.num_groups = 1
        return model

    monkeypatch.setattr("fedefm.export.rebuild.rebuild", one_group)
    code = main(["export", str(theta), "--format", "hf", "--out", str(tmp_path / "out")])
    assert code == CheckpointError.exit_code and list(tmp_path.iterdir()) == []
