"""A network's tensors without the network: names, shapes and dtypes, with neither their memory nor their time.

A file of a few bytes, or a job, may name a network of any size. Its outline costs the Python objects of its layers and
no more, so the question whether a file holds what it declares comes before anything is built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fedefm.errors import ConfigError
from fedefm.models.classifier import build_tuned
from fedefm.models.schema import Schema, schema_of
from fedefm.models.spec import ModelSpec

# Of the tensors that a network makes while it is built some do not stay: published heads, norms that we replace, a
# decoder that a classifier leaves out. Measured: up to 5.3 times what stays (a classifier on UnetPlusPlus).
_TIMES, _MORE = 10, 1000
_KEPT = 8  # outlines of one command: models of one kind are laid out once


def outline(spec: ModelSpec, classes: int, size: int, tensors: int) -> Schema:
    """The schema of the state dict of `build_tuned`.

    Args:
        spec: architecture and encoder.
        classes: foreground classes.
        size: side of the images in pixels.
        tensors: how many the state dict should have. A network of far more is given up while it is laid out.

    Raises:
        ConfigError: there is no such network, or it has far more tensors.
    """
    return _outline(json.dumps(spec.to_dict(), sort_keys=True), classes, size, _TIMES * tensors + _MORE)


@lru_cache(_KEPT)
def _outline(spec: str, classes: int, size: int, allowed: int) -> Schema:
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _Counted(allowed):
        return schema_of(dict(build_tuned(ModelSpec(**json.loads(spec)), classes, size).state_dict()))


class _Counted(TorchFunctionMode):
    """Ends the making of more tensors than allowed; to be entered inside `torch.device("meta")`.

    Layers make their parameters with `torch.empty`. Some networks ask `torch.linspace` for plain numbers, such as the
    drop rate of each block, and these do not exist on the meta device.
    """

    def __init__(self, allowed: int) -> None:
        super().__init__()
        self._left = allowed

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.empty:
            self._left -= 1
            if self._left < 0:
                raise ConfigError("many more tensors than its file has")
        if func is torch.linspace:
            named["device"] = "cpu"
        return func(*args, **named)
