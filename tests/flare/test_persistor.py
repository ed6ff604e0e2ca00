"""The persistor on FLARE's own workspace layout."""

import pytest
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable

from fedefm.errors import CheckpointError
from fedefm.flare.job_files import output_folder
from fedefm.flare.persistor import PATH, SafetensorsPersistor
from fedefm.foundation.settings import SETTINGS_FILE, Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.models.spec import ModelSpec
from support.flare_site import job_context

CLASSES = ("catheter", "guidewire", "vessel")
SETTINGS = Settings(classes=CLASSES, size=32, model=ModelSpec("Unet", "tu-test_resnet"))


@pytest.fixture
def fl_ctx(tmp_path):
    return job_context(tmp_path, SETTINGS_FILE, SETTINGS.to_dict())


def start_weights():
    return initial_weights(SETTINGS.model, len(CLASSES) + 1, SETTINGS.size, 0)


def test_start_weights_are_those_of_the_seed(fl_ctx):
    loaded = SafetensorsPersistor().load(fl_ctx)[ModelLearnableKey.WEIGHTS]
    assert weights_sha256(loaded) == weights_sha256(start_weights())


def test_a_saved_model_comes_back_and_an_altered_one_does_not(fl_ctx):
    persistor, weights = SafetensorsPersistor(), start_weights()
    persistor.save(make_model_learnable(weights, {PATH: "models/north.safetensors"}), fl_ctx)
    assert weights_sha256(persistor.get("models/north.safetensors", fl_ctx)[ModelLearnableKey.WEIGHTS]) == (
        weights_sha256(weights)
    )
    path = output_folder(fl_ctx) / "models" / "north.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        persistor.get("models/north.safetensors", fl_ctx)
