"""Networks through segmentation-models-pytorch, ready to travel: one grey channel, no running statistics."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float
from timm.layers import BatchNormAct2d, GroupNormAct
from torch import Tensor, nn

from fedefm.errors import ConfigError
from fedefm.models.spec import ModelSpec

Weights = Mapping[str, Tensor]
"""Of a network, by name: in memory a dict, else what brings them tensor by tensor (`models/stored.py`)."""


def build_model(
    spec: ModelSpec, classes: int, size: int, *, fetch: bool = False, encoder: Path | None = None
) -> nn.Module:
    """Build the network of `spec` for grey images of `size` x `size` pixels.

    BatchNorm layers become GroupNorm: running statistics would carry a hospital's image statistics to its peers, and
    teachers run on the student's images.

    Args:
        spec: architecture and encoder.
        classes: output channels, background included.
        size: side of the images in pixels.
        fetch: start from the published weights that `spec` names. Only a job's start weights want them: all other
            networks are given their weights later.
        encoder: file of an encoder's published weights to start from; timm fits them to one grey channel and this
            size of images.

    Raises:
        ConfigError: the architecture or encoder does not exist or does not fit the size.
    """
    architecture = getattr(smp, spec.architecture, None)
    if not (isinstance(architecture, type) and issubclass(architecture, nn.Module)):
        raise ConfigError(f"model: '{spec.architecture}' is no architecture of segmentation-models-pytorch; try Unet")
    published: str | None = spec.pretrained if fetch else None
    given: dict[str, Any] = {}
    if encoder is not None:
        published, given = "file", {"pretrained_cfg_overlay": {"file": str(encoder)}}
    tries = _encoder_options(spec.encoder, size)
    for options in tries:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = architecture(
                    encoder_name=spec.encoder,
                    encoder_weights=published,
                    in_channels=1,
                    classes=classes,
                    **options | dict(spec.options) | given,
                )
        except Exception as error:  # smp and timm raise many kinds
            if options is not tries[-1] and _is_of_options(error, options):
                continue  # this encoder takes any size, or is told in another word
            raise _refused(spec, error) from error
        _replace_batch_norm(model)
        return model
    raise AssertionError  # the last try has no option that could be unexpected


def _is_of_options(error: Exception, options: dict[str, Any]) -> bool:
    """Whether an option of ours is what a network does not take, or a depth that its decoder was not made for."""
    unexpected = isinstance(error, TypeError) and any(f"argument '{name}'" in str(error) for name in options)
    return unexpected or ("encoder_depth" in options and "Model depth" in str(error))


def _refused(spec: ModelSpec, error: Exception) -> ConfigError:
    reason = (str(error).splitlines() or ["no reason given"])[0][:160]
    return ConfigError(f"model: {spec.architecture} with '{spec.encoder}' cannot be built: {reason}")


def initial_weights(spec: ModelSpec, classes: int, size: int, seed: int, encoder: Path | None = None) -> Weights:
    """Start weights of a job: the same seed, and file of an encoder if any, give the same bytes.

    Raises:
        ConfigError: as `build_model`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return take_weights(build_model(spec, classes, size, fetch=True, encoder=encoder))


def take_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy a network's state to the CPU, to be sent, saved or averaged."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}


def forward_with_features(
    model: nn.Module, images: Float[Tensor, "b 1 h w"], level: int
) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b n c"]]:
    """Logits, and the encoder's maps of one stage as a set of nodes, in one pass.

    Args:
        model: a network of `build_model`.
        images: normalised grey images.
        level: index into the encoder's stages; negative counts from the deepest.

    Returns:
        Logits, and features with one node for each of the map's pixels.
    """
    kept: list[Any] = []
    handle = model.encoder.register_forward_hook(lambda module, args, output: kept.append(output))
    try:
        logits = model(images)
    finally:
        handle.remove()
    maps = feature_maps(kept[0])[level]
    return logits, maps.flatten(2).transpose(1, 2).float()


def feature_maps(output: Any) -> list[Tensor]:
    """The maps in an encoder's output: a ViT's comes with prefix tokens, and some stages are empty."""
    maps = output[0] if isinstance(output, tuple) else output
    return [m for m in maps if m.ndim == 4 and m.shape[1] > 0]


def _encoder_options(encoder: str, size: int) -> list[dict[str, Any]]:
    """What an encoder of timm may need to know beyond its name, to be tried in this order.

    A transformer is built for one size of images unless it is told another; a name does not say what is one.
    """
    if not encoder.startswith("tu-"):
        return [{}]
    if "swin" in encoder:
        return [{"encoder_depth": 4, "img_size": size}, {"img_size": size}, {}]
    return [{"dynamic_img_size": True}, {"img_size": size}, {}]


def _replace_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            norm = _group_norm(child)
            if child.affine:  # a pretrained scale and shift stay
                norm.weight.data.copy_(child.weight.data)
                norm.bias.data.copy_(child.bias.data)
            setattr(module, name, norm)
        else:
            _replace_batch_norm(child)


def _group_norm(norm: nn.modules.batchnorm._BatchNorm) -> nn.GroupNorm:
    """A GroupNorm in its place. Some of timm's norms hold the activation and the dropout that follow: they stay."""
    groups = _groups(norm.num_features)
    if not isinstance(norm, BatchNormAct2d):
        return nn.GroupNorm(groups, norm.num_features, eps=norm.eps)
    act = GroupNormAct(norm.num_features, groups, eps=norm.eps)
    act.drop, act.act = norm.drop, norm.act
    return act


def _groups(channels: int) -> int:
    """Number of groups of a GroupNorm: at most 32, with at least eight channels in each where that divides evenly."""
    return next(g for g in range(max(1, min(32, channels // 8)), 0, -1) if channels % g == 0)
