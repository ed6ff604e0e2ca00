"""A checkpoint's network predicts as the one that was saved; weights that fit no network are refused."""

import pytest
import torch

from fedefm.errors import CheckpointError
from fedefm.models.build import build_model, take_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.classifier import CLASSIFIER, build_tuned
from fedefm.models.restore import restore
from fedefm.models.spec import ModelSpec

SMALL = ModelSpec("Unet", "tu-test_resnet", {"encoder_depth": 3, "decoder_channels": [16, 8, 8]})
CLASSES = ("catheter", "vessel")


def saved(folder, classes=CLASSES):
    model = build_model(SMALL, len(CLASSES) + 1, 32).eval()
    save_weights(folder / "w.safetensors", take_weights(model), spec=SMALL, classes=classes, size=32)
    return model, load_weights(folder / "w.safetensors")


def test_it_predicts_as_the_network_that_was_saved(tmp_path):
    model, checkpoint = saved(tmp_path)
    found, images = restore(checkpoint), torch.rand(2, 1, 32, 32)
    assert not found.training
    with torch.no_grad():
        assert torch.equal(found(images), model(images))


def test_weights_of_another_class_count_are_refused_by_their_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"w\.safetensors: its tensors are not those of Unet .* and 1 classes"):
        saved(tmp_path, classes=("catheter",))


def test_a_classifier_is_no_segmentation_network(tmp_path):
    spec = ModelSpec(CLASSIFIER, SMALL.encoder, {"of": "Unet", "options": SMALL.options})
    path, weights = tmp_path / "w.safetensors", take_weights(build_tuned(spec, 2, 32))
    save_weights(path, weights, spec=spec, classes=CLASSES, size=32)
    with pytest.raises(CheckpointError, match=r"here\.bin: for Classifier with .*, no segmentation network"):
        restore(load_weights(path), "here.bin")
