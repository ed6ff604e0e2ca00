"""The networks that the pages name, in each form: what cannot hold one says so, and leaves nothing."""

from pathlib import Path

import pytest

from fedefm.errors import CheckpointError, ConfigError
from fedefm.export.export import FORMATS, export
from fedefm.models.build import initial_weights, take_weights
from fedefm.models.checkpoint import save_weights
from fedefm.models.classifier import CLASSIFIER, build_tuned
from fedefm.models.spec import ModelSpec
from support.small_networks import SMALLEST

NETWORKS = {
    "Unet:resnet18": (ModelSpec("Unet", "resnet18"), 64),
    "DPT:tu-vit_tiny_patch16_224": (ModelSpec("DPT", "tu-vit_tiny_patch16_224"), 224),
    "UPerNet:tu-swin_tiny_patch4_window7_224": (ModelSpec("UPerNet", "tu-swin_tiny_patch4_window7_224"), 128),
    "Segformer:mit_b0": (ModelSpec("Segformer", "mit_b0"), 128),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_each_form_holds_each_network(name: str, kind: str, tmp_path: Path) -> None:
    """Each format compares what it wrote with torch before it keeps it."""
    spec, size = NETWORKS[name]
    path = tmp_path / "theta.safetensors"
    save_weights(
        path, initial_weights(spec, 4, size, 0), spec=spec, classes=("catheter", "guidewire", "vessel"), size=size
    )
    done = export(path, tmp_path / "out", kind=kind)
    assert done["difference"] <= 1e-4
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        file for file in done["files"] if file != "LICENSE"
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_classifier_is_refused(kind: str, tmp_path: Path) -> None:
    """Its head gives one logit a class and image; every form here is of networks that mark pixels."""
    of = {"of": SMALLEST.architecture, "options": dict(SMALLEST.options)}
    spec, path = ModelSpec(CLASSIFIER, SMALLEST.encoder, of), tmp_path / "theta.safetensors"
    save_weights(path, take_weights(build_tuned(spec, 2, 64)), spec=spec, classes=("catheter", "wire"), size=64)
    with pytest.raises((CheckpointError, ConfigError), match="no segmentation network"):
        export(path, tmp_path / "out", kind=kind)
    assert list(tmp_path.iterdir()) == [path]
