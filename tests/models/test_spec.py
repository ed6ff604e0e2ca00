import dataclasses
import json

import pytest

from fedefm.errors import ConfigError
from fedefm.models.spec import ModelSpec

SPEC = ModelSpec("Unet", "resnet18", {"encoder_depth": 4, "decoder_channels": [32, 24, 16, 8]})


def test_a_spec_survives_json() -> None:
    assert ModelSpec(**json.loads(json.dumps(SPEC.to_dict()))) == SPEC


@pytest.mark.parametrize("option", ["encoder_name", "encoder_weights", "in_channels", "classes"])
def test_what_the_job_sets_is_no_option(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        ModelSpec(options={option: 1})


@pytest.mark.parametrize("option", ["checkpoint_path", "cache_dir", "pretrained", "pretrained_cfg", "weights"])
def test_no_option_names_a_file_or_an_address(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        ModelSpec(options={option: "x"})


@pytest.mark.parametrize("encoder", ["tu-hf-hub:somebody/model", "tu-local-dir:/etc", "../x", "a\\b"])
def test_an_encoder_is_a_plain_name(encoder: str) -> None:
    with pytest.raises(ConfigError):
        ModelSpec(encoder=encoder)


def test_the_hash_tells_networks_apart_and_nothing_else() -> None:
    changed = [
        dataclasses.replace(SPEC, architecture="FPN").architecture_hash(3, 96),
        dataclasses.replace(SPEC, encoder="resnet34").architecture_hash(3, 96),
        dataclasses.replace(SPEC, options={"encoder_depth": 4}).architecture_hash(3, 96),
        SPEC.architecture_hash(4, 96),
        SPEC.architecture_hash(3, 64),
        SPEC.architecture_hash(3, 96),
    ]
    assert len(set(changed)) == len(changed)
    turned = dataclasses.replace(SPEC, pretrained="imagenet", options=dict(reversed(SPEC.options.items())))
    assert turned.architecture_hash(3, 96) == SPEC.architecture_hash(3, 96)
