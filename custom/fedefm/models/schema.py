"""What a network's weights are: names, shapes, dtypes, and values that some training can have given."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedefm.models.build import Weights

MAX_WEIGHT = 1e4  # weights lie around 1; a mean with 1e38 in it would be lost, and with it the honest hospitals

Schema = Mapping[str, tuple[torch.Size, torch.dtype]]
Declared = Mapping[str, tuple[torch.Size, torch.dtype | str]]
"""The same as a file declares it; a dtype that no network of ours has goes by the file's own word for it."""


def schema_of(weights: Weights) -> Schema:
    """Names, shapes and dtypes."""
    return {name: (value.shape, value.dtype) for name, value in weights.items()}


def misfit(weights: object, schema: Schema) -> str | None:
    """Why these cannot be weights of the job's network: names, shapes, dtypes, values that no network has."""
    if not isinstance(weights, Mapping):
        return "weights with missing or additional tensors"
    found = {}
    for name, value in weights.items():  # one pass, for a tensor may come from the disk
        if not isinstance(value, Tensor):
            return "weights with something else than tensors"
        found[name] = value.shape, value.dtype
    return misdeclared(found, schema) or misvalued(weights)


def misdeclared(found: Declared, schema: Schema) -> str | None:
    """Why tensors of these names, shapes and dtypes are not those of the network; nothing of their values is read."""
    if set(found) != set(schema):
        return "weights with missing or additional tensors"
    for name, (shape, dtype) in found.items():
        wanted, kind = schema[name]
        if shape != wanted:
            return f"tensor '{name}' has another shape or dtype: {_shown(shape)}, the network has {_shown(wanted)}"
        if dtype != kind:
            return f"tensor '{name}' has another shape or dtype: {_bare(dtype)}, the network has {_bare(kind)}"
    return None


def misvalued(weights: Weights) -> str | None:
    """Why no training gives these values: NaN, infinity, or beyond all measure. One pass, and no copy of a tensor."""
    for name, value in weights.items():
        if not value.is_floating_point() or not value.numel():
            continue
        low, high = (float(end) for end in value.aminmax())  # either is NaN where a single value is
        if not (-torch.inf < low <= high < torch.inf):
            return f"tensor '{name}' holds NaN or infinity"
        if max(-low, high) > MAX_WEIGHT:
            return f"tensor '{name}' holds a value beyond {MAX_WEIGHT:g}, which no training gives"
    return None


def _shown(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "one number"


def _bare(dtype: torch.dtype | str) -> str:
    return str(dtype).removeprefix("torch.")
