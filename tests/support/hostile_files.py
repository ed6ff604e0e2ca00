"""Files of weights whose header, seal and hash are right and whose content no network has."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from fedefm.models.build import Weights, initial_weights
from fedefm.models.checkpoint import save_weights
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SIZE = 32
HUGE = dataclasses.replace(SMALLEST, options={"encoder_depth": 4, "decoder_channels": [8000] * 4})


def _as(dtype: torch.dtype) -> Callable[[Weights, str], None]:
    def change(weights: Weights, name: str) -> None:
        weights[name] = weights[name].to(dtype)

    return change


def _holding(value: float) -> Callable[[Weights, str], None]:
    def change(weights: Weights, name: str) -> None:
        weights[name].view(-1)[-1] = value

    return change


def _all_as(dtype: torch.dtype) -> Callable[[Weights, str], None]:
    def change(weights: Weights, name: str) -> None:
        weights |= {key: value.to(dtype) if value.is_floating_point() else value for key, value in weights.items()}

    return change


def _flat(weights: Weights, name: str) -> None:
    weights[name] = weights[name].reshape(-1)


FAULTS: dict[str, tuple[Callable[[Weights, str], object], str]] = {
    "NaN": (_holding(float("nan")), "holds NaN or infinity"),
    "infinity": (_holding(float("inf")), "holds NaN or infinity"),
    "minus infinity": (_holding(float("-inf")), "holds NaN or infinity"),
    "beyond all measure": (_holding(-1e5), "beyond 10000"),
    "int64": (_as(torch.int64), "int64, the network has float32"),
    "bool": (_as(torch.bool), "bool, the network has float32"),
    "complex": (_as(torch.complex64), "C64, the network has float32"),
    "float8": (_as(torch.float8_e4m3fn), "F8_E4M3, the network has float32"),
    "float16": (_as(torch.float16), "float16, the network has float32"),
    "all bfloat16": (_all_as(torch.bfloat16), "bfloat16, the network has float32"),
    "float64": (_as(torch.float64), "float64, the network has float32"),
    "another shape": (_flat, "another shape"),
    "one missing": (lambda weights, name: weights.pop(name), "missing or additional"),
    "one more": (lambda weights, name: weights.update(more=torch.zeros(1)), "missing or additional"),
}


def write_hostile(path: Path, fault: str) -> str:
    """A file with one fault of `FAULTS`, or "huge": a few bytes that declare a network of gigabytes; what is said."""
    if fault == "huge":
        save_weights(path, {"x": torch.zeros(1)}, spec=HUGE, classes=CLASSES, size=SIZE)
        return "missing or additional"
    weights = initial_weights(SMALLEST, len(CLASSES) + 1, SIZE, seed=7)
    change, said = FAULTS[fault]
    change(weights, next(name for name in weights if name.endswith("weight") and weights[name].ndim == 4))
    save_weights(path, weights, spec=SMALLEST, classes=CLASSES, size=SIZE)
    return said
