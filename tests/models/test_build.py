import copy
import dataclasses

import pytest
import segmentation_models_pytorch as smp
import torch
from timm.layers import BatchNormAct2d, GroupNormAct
from torch import nn

from fedefm.errors import ConfigError
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import _replace_batch_norm as replace_batch_norm
from fedefm.models.build import build_model, feature_maps, forward_with_features, initial_weights, take_weights
from fedefm.models.spec import ModelSpec
from support.small_networks import SMALLEST

NETWORKS = [
    ModelSpec("Unet", "resnet18"),
    ModelSpec("Unet", "tu-mobilenetv3_small_050"),
    ModelSpec("Segformer", "mit_b0"),
    ModelSpec("DPT", "tu-vit_tiny_patch16_224"),
    pytest.param(ModelSpec("UPerNet", "tu-swin_tiny_patch4_window7_224"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: f"{spec.architecture}-{spec.encoder}")
def test_every_network_runs_and_carries_no_statistics(spec: ModelSpec) -> None:
    model = build_model(spec, 4, 64).eval()
    images = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, nodes = forward_with_features(model, images, -1)
        alone = model(images[:1])
    assert logits.shape == (2, 4, 64, 64) and bool(logits.isfinite().all())
    assert nodes.shape[0] == 2 and nodes.shape[1] in (4, 16)  # an encoder of stride 32 or 16
    torch.testing.assert_close(logits[:1], alone, rtol=1e-4, atol=1e-4)  # an image does not see the rest of its batch
    assert not [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    state = take_weights(model)
    assert not [name for name in state if "running_" in name or "num_batches" in name]
    assert all(value.is_floating_point() for name, value in state.items() if name in dict(model.named_parameters()))


@pytest.mark.parametrize(
    "encoder",
    ["tu-efficientvit_b0", "tu-repvit_m0_9", "tu-gcvit_xxtiny", "tu-pvt_v2_b0", "tu-swin_tiny_patch4_window7_224"],
)
def test_a_name_says_nothing_of_what_an_encoder_must_be_told(encoder: str) -> None:
    model = build_model(ModelSpec("Unet", encoder), 3, 128).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 1, 128, 128)).shape == (1, 3, 128, 128)


def test_what_cannot_be_built_has_the_reason_of_the_library() -> None:
    with pytest.raises(ConfigError, match="tu-vit_tiny_patch16_224' cannot be built: Unsupported model downsampling"):
        build_model(ModelSpec("Unet", "tu-vit_tiny_patch16_224"), 3, 128)


@pytest.mark.parametrize("level", [-1, -2, 1])
def test_features_are_the_encoders_maps_node_by_node(level: int) -> None:
    model = build_model(SMALLEST, 3, 64).eval()
    images = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, nodes = forward_with_features(model, images, level)
        maps = feature_maps(model.encoder(images))[level]
        torch.testing.assert_close(logits, model(images))
    batch, channels, height, width = maps.shape
    assert nodes.shape == (batch, height * width, channels)
    torch.testing.assert_close(nodes[1, 1 * width + 0], maps[1, :, 1, 0])
    assert not model.encoder._forward_hooks


def test_empty_stages_and_prefix_tokens_are_no_maps() -> None:
    full, empty, tokens = torch.zeros(1, 3, 4, 4), torch.zeros(1, 0, 2, 2), torch.zeros(1, 5, 3)
    assert feature_maps(([full, empty], [tokens])) == [full]


def test_the_same_seed_gives_the_same_bytes_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first, again, other = (initial_weights(SMALLEST, 3, 32, seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert weights_sha256(first) == weights_sha256(again) != weights_sha256(other)


def test_taken_weights_are_a_copy() -> None:
    model = build_model(SMALLEST, 3, 32)
    taken = take_weights(model)
    kept = copy.deepcopy(taken)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert weights_sha256(taken) == weights_sha256(kept)
    assert not any(value.requires_grad for value in taken.values())


@pytest.mark.slow
def test_only_start_weights_are_fetched() -> None:
    spec = dataclasses.replace(SMALLEST, pretrained="no-such-weights")
    build_model(spec, 3, 32)
    with pytest.raises(ConfigError, match="cannot be built"):
        initial_weights(spec, 3, 32, 0)


def test_scale_and_shift_of_a_pretrained_batch_norm_survive() -> None:
    source = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Sequential(nn.BatchNorm2d(24)), nn.BatchNorm2d(6, affine=False))
    scale, shift = torch.rand(24, generator=source), torch.rand(24, generator=source)
    model[0][0].load_state_dict({"weight": scale, "bias": shift}, strict=False)
    replace_batch_norm(model)
    norm = model[0][0]
    assert isinstance(norm, nn.GroupNorm) and 24 % norm.num_groups == 0
    x = torch.randn(2, 24, 5, 5, generator=source)
    plain = nn.GroupNorm(norm.num_groups, 24, affine=False)(x)
    torch.testing.assert_close(model[0](x), plain * scale.view(1, 24, 1, 1) + shift.view(1, 24, 1, 1))


def test_an_activation_that_a_norm_of_timm_holds_survives() -> None:
    model = nn.Sequential(BatchNormAct2d(16, act_layer=nn.SiLU))
    replace_batch_norm(model)
    x = torch.randn(2, 16, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x), nn.functional.silu(nn.GroupNorm(model[0].num_groups, 16)(x)))


def test_an_encoder_of_timm_keeps_its_activations() -> None:
    plain = smp.Unet("tu-mobilenetv3_small_050", encoder_weights=None, in_channels=1)
    held = [norm.act for norm in plain.modules() if isinstance(norm, BatchNormAct2d)]
    ours = build_model(ModelSpec("Unet", "tu-mobilenetv3_small_050"), 2, 64)
    kept = [norm.act for norm in ours.modules() if isinstance(norm, GroupNormAct)]
    assert [type(act) for act in kept] == [type(act) for act in held] and nn.Hardswish in map(type, kept)


@pytest.mark.parametrize(
    ("spec", "blamed"),
    [
        (ModelSpec("Onet"), "Onet"),
        (ModelSpec("encoders"), "encoders"),
        (ModelSpec("Unet", "resnet1800"), "resnet1800"),
        (ModelSpec("Unet", "tu-nothing_of_timm"), "nothing_of_timm"),
        (ModelSpec("Unet", "resnet18", {"decoder_channels": [1]}), "resnet18"),
        (ModelSpec("Unet", "resnet18", {"encoder_depth": 9}), "resnet18"),
    ],
)
def test_a_network_that_does_not_exist_is_named_in_one_line(spec: ModelSpec, blamed: str) -> None:
    with pytest.raises(ConfigError, match=blamed) as caught:
        build_model(spec, 3, 64)
    assert "\n" not in str(caught.value)
