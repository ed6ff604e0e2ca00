"""The outline of a network is that of the network, and costs neither its memory nor its time."""

import pytest
import torch

from fedefm.errors import ConfigError
from fedefm.models.classifier import CLASSIFIER, build_tuned
from fedefm.models.outline import outline
from fedefm.models.schema import schema_of
from fedefm.models.spec import ModelSpec
from support.small_networks import SMALLEST

NETWORKS = (
    SMALLEST,
    ModelSpec(CLASSIFIER, SMALLEST.encoder, {"of": "Unet", "options": dict(SMALLEST.options)}),
    ModelSpec("Segformer", "mit_b0"),  # asks for numbers while it is built
    ModelSpec("DPT", "tu-vit_tiny_patch16_224"),
    ModelSpec("FPN", "efficientnet-b0"),
)


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: f"{spec.architecture} {spec.encoder}")
def test_it_has_the_tensors_of_the_network(spec: ModelSpec) -> None:
    whole = schema_of(dict(build_tuned(spec, 2, 224).state_dict()))
    assert outline(spec, 2, 224, len(whole)) == whole


def test_random_numbers_are_drawn_as_if_it_had_not_been_there() -> None:
    torch.manual_seed(3)
    first = torch.rand(4)
    torch.manual_seed(3)
    outline(ModelSpec("Unet", "mobilenet_v2"), 5, 64, 300)
    assert torch.equal(torch.rand(4), first)


def test_a_network_of_far_more_tensors_is_given_up() -> None:
    with pytest.raises(ConfigError, match="many more tensors than its file has"):
        outline(ModelSpec("Unet", SMALLEST.encoder, {"layers": [16384] * 4}), 2, 64, 10)
