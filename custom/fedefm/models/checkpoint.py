"""Weights on disk: safetensors with a header that binds them to their architecture and their bytes.

`load_weights` is the one way in. It looks before it reads, and reads before it trusts: size of the file, header, names,
shapes and dtypes against the outline of the network that the header names, hash, values.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedefm.errors import CheckpointError, ConfigError
from fedefm.files import system_error, written_beside
from fedefm.maths.fingerprint import FINGERPRINTS, weights_sha256
from fedefm.models.assurance import Assurance
from fedefm.models.build import Weights
from fedefm.models.outline import outline
from fedefm.models.schema import Declared, misdeclared, misvalued
from fedefm.models.spec import ModelSpec

THETA_FILE = "theta.safetensors"
"""The name of a foundation model's file, wherever one is written or looked for."""

_HEADER = "fedefm"
_ASSURANCE = "assurance"
_MAX_SIZE = 8192
_MAX_CLASSES, _MAX_NAME = 4096, 256
_MAX_HEADER = 2_000_000  # bytes; a tensor takes about 100, and the largest published networks have some thousands
MAX_BYTES = 20_000_000_000  # as `max_megabytes` of a hospital, which bounds what a task may bring
# Words of safetensors for what networks hold. All others are refused in its own words.
DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "U8": torch.uint8,
    "I32": torch.int32,
    "I64": torch.int64,
    "BOOL": torch.bool,
}


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
        assurance: how sure to be and what was seen in training; empty where nobody measured it.
    """

    weights: Weights
    spec: ModelSpec
    classes: tuple[str, ...]
    size: int
    sha256: str
    file: Path
    assurance: Assurance = field(default_factory=Assurance)


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    spec: ModelSpec,
    classes: Sequence[str],
    size: int,
    assurance: Assurance | None = None,
) -> str:
    """Write weights beside `path`, then rename, so that a reader never sees half a file.

    The assurance, where there is one, stands in the header and does not change the fingerprint.

    Returns:
        The fingerprint of the weights (`weights_sha256`).

    Raises:
        ConfigError: the file cannot be written; what was there is still there.
    """
    sha256 = FINGERPRINTS.of(weights)
    header: dict[str, Any] = {
        "spec": spec.to_dict(),
        "classes": list(classes),
        "size": size,
        "architecture": spec.architecture_hash(len(classes) + 1, size),
        "sha256": sha256,
    }
    if assurance is not None and assurance != Assurance():
        header[_ASSURANCE] = assurance.to_dict()
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
        CheckpointError: missing, truncated or altered file, weights of another architecture, tensors that are not those
            of the network in the header, or values that no training gives (NaN, infinity, beyond 10 000).
    """
    _check_size(path)
    with _told(path), safe_open(path, framework="pt", device="cpu") as file:
        header = json.loads((file.metadata() or {})[_HEADER])
        if header["seal"] != _seal(header):
            raise CheckpointError(f"{path}: its header was altered (SHA-256 differs); fetch it again")
        found = _without_weights(path, header)
        _must_fit(found, header, spec, classes)
        _must_hold(found, {name: _declared(file.get_slice(name)) for name in file.keys()})  # noqa: SIM118 (not a dict)
        found = replace(found, weights={name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    if weights_sha256(found.weights) != found.sha256:
        raise CheckpointError(f"{path}: its weights were altered (SHA-256 differs); fetch it again")
    if reason := misvalued(found.weights):
        raise CheckpointError(f"{path}: {reason}; take another file, or train again")
    return found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in one line what a file of foreign or damaged bytes makes a library raise."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not safetensors; fetch it again") from error
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: no weights of fedefm (its header is missing or wrong)") from error
    except ConfigError as error:
        raise CheckpointError(f"{path}: its header is wrong ({error}); fetch it again") from error


def _check_size(path: Path) -> None:
    """Refuse what is no file, or too large to be looked into: nothing but the first bytes is read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path}: not a file of weights; name the file itself")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); see who may read it") from error
    if status.st_size > MAX_BYTES:
        raise CheckpointError(f"{path}: {status.st_size} bytes, no file of weights has more than {MAX_BYTES}")
    if length > min(_MAX_HEADER, status.st_size):
        raise CheckpointError(f"{path}: damaged or not safetensors; fetch it again")


def _declared(one: Any) -> tuple[torch.Size, torch.dtype | str]:
    kind = one.get_dtype()
    return torch.Size(one.get_shape()), DTYPES.get(kind, kind)


def _must_hold(found: Checkpoint, declared: Declared) -> None:
    """Refuse tensors that are not those of the network in the header, before one of them is read or one is built."""
    spec, file = found.spec, found.file
    network = f"{spec.architecture} with '{spec.encoder}'"
    try:
        schema = outline(spec, len(found.classes), found.size, len(declared))
    except ConfigError as error:
        raise CheckpointError(f"{file}: for {network}, no network that can be built here; {error}") from error
    if reason := misdeclared(declared, schema):
        text = f"its tensors are not those of {network} and {len(found.classes)} classes"
        raise CheckpointError(f"{file}: {text} ({reason}); fetch it again")


def _without_weights(path: Path, header: Mapping[str, Any]) -> Checkpoint:
    classes, size = header["classes"], header["size"]
    if not isinstance(classes, list) or not all(isinstance(name, str) and len(name) <= _MAX_NAME for name in classes):
        raise ValueError("classes")
    if len(classes) > _MAX_CLASSES:
        raise ValueError("classes")
    if type(size) is not int or not 1 <= size <= _MAX_SIZE:
        raise ValueError("size")
    assurance = Assurance.from_dict(header.get(_ASSURANCE, {}))
    return Checkpoint({}, ModelSpec(**header["spec"]), tuple(classes), size, str(header["sha256"]), path, assurance)


def _seal(header: Mapping[str, Any]) -> str:
    """SHA-256 of the header, whose class names the hash of the weights does not cover."""
    plain = {key: value for key, value in header.items() if key != "seal"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _must_fit(found: Checkpoint, header: Mapping[str, Any], spec: ModelSpec | None, classes: int | None) -> None:
    path, channels = found.file, len(found.classes) + 1
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
    return system_error(str(error)) or OSError(str(error))
