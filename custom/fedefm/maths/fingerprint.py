"""One hash for one set of weights, on every machine."""

import hashlib
import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

_DOMAIN = b"fedefm weights 1\n"


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict, as 64 hexadecimal digits.

    Hashed are, in the order of the names: name, dtype, shape and the elements in row order as little-endian bytes,
    each with its length in front, so that no two different states give the same bytes. Device, memory layout and the
    order of the dict do not matter. One changed bit does: 0.0 and -0.0 differ, and so do two NaN payloads.
    """
    digest = hashlib.sha256(_DOMAIN)
    digest.update(_length(len(state)))
    for name in sorted(state):
        tensor = state[name]
        for field in (name, str(tensor.dtype).removeprefix("torch."), ",".join(map(str, tensor.shape))):
            _add(digest, field.encode())
        _add(digest, _little_endian(tensor))
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", field: bytes | memoryview) -> None:
    digest.update(_length(len(field)))
    digest.update(field)


def _length(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _little_endian(tensor: Tensor) -> memoryview:
    """Elements as one row of bytes."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    octets = plain.view(torch.uint8).numpy()
    if sys.byteorder == "little":
        return octets.data
    word = plain.element_size() // (2 if plain.is_complex() else 1)
    return np.ascontiguousarray(octets.reshape(-1, word)[:, ::-1]).reshape(-1).data
