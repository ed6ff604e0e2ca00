"""What network a job trains, in a few words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from fedefm.errors import ConfigError
from fedefm.settings import JsonSettings, settings_class

_FETCH = ("checkpoint_path", "cache_dir", "weights")  # of timm: where weights come from
_LONGEST_NAME = 128  # of an architecture, an encoder or an option
_LONGEST_OPTIONS = 4096  # characters of all options as JSON
_GREATEST_OPTION = 16384  # channels, layers, pixels: above every published network


@settings_class
class ModelSpec(JsonSettings):
    """A segmentation network of segmentation-models-pytorch.

    Attributes:
        architecture: a class of segmentation-models-pytorch, such as `Unet`, `DPT`, `UPerNet`, `Segformer`.
        encoder: an encoder name; `tu-...` takes any of timm.
        options: further keyword arguments of that class, such as `{"encoder_depth": 4}`.
        pretrained: the encoder's published weights, such as `imagenet`; None starts from random weights.

    Raises:
        ConfigError: a value is ill-typed, beyond any network, names a file or an address, or is set by the job.
    """

    architecture: str = "Unet"
    encoder: str = "resnet18"
    options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str | None = None

    def __post_init__(self) -> None:
        self._check_bounds()
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

    def _check_bounds(self) -> None:
        for what, name in (("architecture", self.architecture), ("encoder", self.encoder)):
            if len(name) > _LONGEST_NAME:
                raise ConfigError(f"model: an {what} of {len(name)} characters, no name has more than {_LONGEST_NAME}")
        try:
            text = json.dumps(dict(self.options), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError("model: options must be plain JSON values; correct them") from error
        if len(text) > _LONGEST_OPTIONS:
            raise ConfigError(f"model: options of {len(text)} characters, at most {_LONGEST_OPTIONS} are taken")
        if (greatest := max(map(abs, _numbers(self.options)), default=0)) > _GREATEST_OPTION:
            raise ConfigError(
                f"model: {greatest:g} in options, no network has more than {_GREATEST_OPTION} of anything"
            )

    def architecture_hash(self, classes: int, size: int) -> str:
        """SHA-256 of all that shapes the weights; where the start weights came from does not count."""
        plain = {k: v for k, v in self.to_dict().items() if k != "pretrained"} | {"classes": classes, "size": size}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _numbers(value: Any) -> Iterator[float]:
    """Every number in JSON-able values, at any depth."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value
