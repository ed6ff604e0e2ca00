"""What network a job trains, in a few words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from fedefm.errors import ConfigError
from fedefm.settings import JsonSettings, settings_class

_FETCH = ("checkpoint_path", "cache_dir", "weights")  # of timm: where weights come from


@settings_class
class ModelSpec(JsonSettings):
    """A segmentation network of segmentation-models-pytorch.

    Attributes:
        architecture: a class of segmentation-models-pytorch, such as `Unet`, `DPT`, `UPerNet`, `Segformer`.
        encoder: an encoder name; `tu-...` takes any of timm.
        options: further keyword arguments of that class, such as `{"encoder_depth": 4}`.
        pretrained: the encoder's published weights, such as `imagenet`; None starts from random weights.

    Raises:
        ConfigError: a value is ill-typed, names a file or an address, or is set by the job.
    """

    architecture: str = "Unet"
    encoder: str = "resnet18"
    options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str | None = None

    def __post_init__(self) -> None:
        if set(self.encoder) & set(":/\\"):  # timm takes hf-hub:NAME and local-dir:PATH
            raise ConfigError("model: an encoder is a plain name, no address and no path")
        fetched = [name for name in self.options if name in _FETCH or name.startswith("pretrained")]
        if fetched:
            raise ConfigError(
                f"model: '{fetched[0]}' names a file or an address, which no job may; leave it out of options"
            )
        reserved = {"encoder_name", "encoder_weights", "in_channels", "classes"} & set(self.options)
        if reserved:
            raise ConfigError(f"model: '{sorted(reserved)[0]}' is set by the job; leave it out of options")

    def architecture_hash(self, classes: int, size: int) -> str:
        """SHA-256 of all that shapes the weights; where the start weights came from does not count."""
        plain = {k: v for k, v in self.to_dict().items() if k != "pretrained"} | {"classes": classes, "size": size}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
