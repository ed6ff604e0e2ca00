"""A checkpoint's network predicts as the one that was saved; weights that fit no network are refused."""

import pytest
import torch

from fedefm.errors import CheckpointError
from fedefm.models.build import build_model, take_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.restore import restore
from fedefm.models.spec import ModelSpec

SMALL = ModelSpec("Unet", "tu-test_resnet", {"encoder_depth": 3, "decoder_channels": [16, 8, 8]})
CLASSES = ("catheter", "vessel")


def saved(folder, spec=SMALL, classes=CLASSES):
    model = build_model(SMALL, len(CLASSES) + 1, 32).eval()
    save_weights(folder / "w.safetensors", take_weights(model), spec=spec, classes=classes, size=32)
    return model, load_weights(folder / "w.safetensors")


def test_it_predicts_as_the_network_that_was_saved(tmp_path):
    model, checkpoint = saved(tmp_path)
    found, images = restore(checkpoint), torch.rand(2, 1, 32, 32)
    assert not found.training
    with torch.no_grad():
        assert torch.equal(found(images), model(images))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"classes": ("catheter",)}, "here.bin: not those of Unet"),
        ({"spec": ModelSpec("Classifier", "x")}, "here.bin: for Classifier with 'x', no segmentation network"),
    ],
    ids=["class count", "classifier"],
)
def test_weights_that_fit_no_network_are_refused_by_their_name(tmp_path, change, reason):
    with pytest.raises(CheckpointError, match=reason):
        restore(saved(tmp_path, **change)[1], "here.bin")
