"""One hash for one set of weights, on every machine."""

import hashlib
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
        _add(digest, octets(tensor))
    return digest.hexdigest()


@dataclass(frozen=True)
class _Known:
    """A hash, and the tensors that it holds for."""

    refs: tuple[weakref.ReferenceType[Tensor], ...]
    versions: tuple[int, ...]
    sha256: str

    def is_of(self, tensors: tuple[Tensor, ...]) -> bool:
        same = all(ref() is tensor for ref, tensor in zip(self.refs, tensors, strict=True))
        return same and self.versions == tuple(tensor._version for tensor in tensors)

    def lives(self) -> bool:
        return all(ref() is not None for ref in self.refs)


class Fingerprints:
    """Hashes each set of weights once, as long as its tensors live and nobody writes into them.

    For weights of one's own: what a peer sent is hashed by `weights_sha256` itself, and only then noted here. Weights
    that are no dict never change and give other tensors each time (`maths/computed.py`, `models/stored.py`): they are
    known by themselves.

    Args:
        sha256: the hash.
    """

    def __init__(self, sha256: Callable[[Mapping[str, Tensor]], str] = weights_sha256):
        self._sha256 = sha256
        self._known: dict[tuple[tuple[str, int], ...], _Known] = {}
        self._whole: weakref.WeakKeyDictionary[Mapping[str, Tensor], str] = weakref.WeakKeyDictionary()

    def of(self, weights: Mapping[str, Tensor]) -> str:
        """The hash of weights, from memory where these very tensors were hashed."""
        if not isinstance(weights, dict):
            return self._whole.get(weights) or self.note(weights, self._sha256(weights))
        known = self._known.get(_identity(weights))
        if known is not None and known.is_of(tuple(weights[name] for name in sorted(weights))):
            return known.sha256
        return self.note(weights, self._sha256(weights))

    def note(self, weights: Mapping[str, Tensor], sha256: str) -> str:
        """Remember a hash that is known."""
        self._forget()
        if not isinstance(weights, dict):
            self._whole[weights] = sha256
            return sha256
        tensors = tuple(weights[name] for name in sorted(weights))
        if tensors and not any(tensor.is_inference() for tensor in tensors):  # these do not tell when they change
            versions = tuple(tensor._version for tensor in tensors)
            self._known[_identity(weights)] = _Known(tuple(map(weakref.ref, tensors)), versions, sha256)
        return sha256

    def alive(self) -> frozenset[str]:
        """Hashes of all weights that somebody still holds."""
        self._forget()
        return frozenset([*(known.sha256 for known in self._known.values()), *self._whole.values()])

    def _forget(self) -> None:
        self._known = {identity: known for identity, known in self._known.items() if known.lives()}


def _identity(weights: Mapping[str, Tensor]) -> tuple[tuple[str, int], ...]:
    return tuple((name, id(weights[name])) for name in sorted(weights))


FINGERPRINTS = Fingerprints()
"""Of this process."""


def _add(digest: "hashlib._Hash", field: bytes | memoryview) -> None:
    digest.update(_length(len(field)))
    digest.update(field)


def _length(value: int) -> bytes:
    return value.to_bytes(8, "little")


def octets(tensor: Tensor) -> memoryview:
    """Elements in row order as little-endian bytes."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    octets = plain.view(torch.uint8).numpy()
    if sys.byteorder == "little":
        return octets.data
    word = plain.element_size() // (2 if plain.is_complex() else 1)
    return np.ascontiguousarray(octets.reshape(-1, word)[:, ::-1]).reshape(-1).data
