"""Weights on disk: safetensors with a header that binds them to their architecture and their bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedefm.errors import CheckpointError, ConfigError
from fedefm.files import written_beside
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import Weights
from fedefm.models.spec import ModelSpec

THETA_FILE = "theta.safetensors"
"""The name of a foundation model's file, wherever one is written or looked for."""

_HEADER = "fedefm"
_MAX_SIZE = 8192


@dataclass(frozen=True)
class Checkpoint:
    """Weights that were read and checked once, and what their header says; handed on in place of their path.

    The tensors are views of the file, which the system maps: many models at a time cost address space, not memory.

    Attributes:
        weights: state dict on the CPU.
        spec: the network that they belong to.
        classes: foreground class names, in label order.
        size: side of the images that the network was trained on, in pixels.
        sha256: fingerprint of the weights.
        file: where they were read; errors name it.
    """

    weights: Weights
    spec: ModelSpec
    classes: tuple[str, ...]
    size: int
    sha256: str
    file: Path


def save_weights(
    path: Path, weights: Mapping[str, Tensor], *, spec: ModelSpec, classes: Sequence[str], size: int
) -> str:
    """Write weights beside `path`, then rename, so that a reader never sees half a file.

    Returns:
        The fingerprint of the weights (`weights_sha256`).

    Raises:
        ConfigError: the file cannot be written; what was there is still there.
    """
    sha256 = weights_sha256(weights)
    header: dict[str, Any] = {
        "spec": spec.to_dict(),
        "classes": list(classes),
        "size": size,
        "architecture": spec.architecture_hash(len(classes) + 1, size),
        "sha256": sha256,
    }
    header["seal"] = _seal(header)
    whole = {name: value.contiguous() for name, value in weights.items()}
    with written_beside(path) as part:
        try:
            save_file(whole, part, {_HEADER: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:
            raise _as_os_error(error) from error
    return sha256


def load_weights(path: Path, *, spec: ModelSpec | None = None, classes: int | None = None) -> Checkpoint:
    """Read weights and check them against their header, and against the network they are wanted for.

    Args:
        path: a file of `save_weights`.
        spec: the network that they must fit; None takes what the header says.
        classes: output channels that they must have, background included; None takes what the header says.

    Raises:
        CheckpointError: missing, truncated or altered file, or weights of another architecture.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        sealed, checkpoint = header["seal"] == _seal(header), _checkpoint(path, weights, header)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not safetensors; fetch it again") from error
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path}: no weights of fedefm (its header is missing or wrong)") from error
    if not sealed or weights_sha256(weights) != checkpoint.sha256:
        part = "weights were" if sealed else "header was"
        raise CheckpointError(f"{path}: its {part} altered (SHA-256 differs); fetch it again")
    _must_fit(path, checkpoint, header, spec, classes)
    return checkpoint


def _checkpoint(path: Path, weights: Weights, header: Mapping[str, Any]) -> Checkpoint:
    classes, size = header["classes"], header["size"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes")
    if type(size) is not int or not 1 <= size <= _MAX_SIZE:
        raise ValueError("size")
    return Checkpoint(weights, ModelSpec(**header["spec"]), tuple(classes), size, str(header["sha256"]), path)


def _seal(header: Mapping[str, Any]) -> str:
    """SHA-256 of the header, whose class names the hash of the weights does not cover."""
    plain = {key: value for key, value in header.items() if key != "seal"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _must_fit(
    path: Path, found: Checkpoint, header: Mapping[str, Any], spec: ModelSpec | None, classes: int | None
) -> None:
    channels = len(found.classes) + 1
    if classes is not None and classes != channels:
        raise CheckpointError(f"{path}: has {channels} classes with background, {classes} are wanted")
    wanted = (spec or found.spec).architecture_hash(channels, found.size)
    if wanted != header.get("architecture"):
        raise CheckpointError(
            f"{path}: belongs to {found.spec.architecture} with '{found.spec.encoder}', another architecture"
            + (f" than {spec.architecture} with '{spec.encoder}'" if spec else "")
        )


def _as_os_error(error: SafetensorError) -> OSError:
    """What the system said: safetensors tells it in its text alone."""
    code = re.search(r"os error (\d+)", str(error))
    return OSError(str(error)) if code is None else OSError(int(code[1]), os.strerror(int(code[1])))
