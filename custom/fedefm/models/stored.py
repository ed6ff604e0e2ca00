"""Weights that lie on the disk until one of their tensors is asked for, and the folder of those that a server holds.

A server holds every silo's weights and experts of many; only those at work need memory. Files are safetensors, written
tensor by tensor and mapped to be read: what is mapped, the system takes back when it needs the room.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fedefm.maths.computed import Computed
from fedefm.maths.fingerprint import octets
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights
from fedefm.models.checkpoint import DTYPES

HELD = "held_weights"
"""Name of a folder of these, beside what a job keeps; nothing in it outlives the process."""
SMALL = 16_000_000  # bytes; weights below are as well off in memory: opening files would take longer than it saves

_LENGTH = 8  # bytes that tell how long the header is
_WORDS = {dtype: word for word, dtype in DTYPES.items()}
_LOG = logging.getLogger(__name__)


class StoredWeights(Mapping[str, Tensor]):
    """Weights in a file. Each access maps the file and lets go of it, so that little of it stays in memory.

    Small ones stay mapped. Equal to itself alone: nobody writes into the file.

    Args:
        path: a safetensors file that does not change while this lives; it may be removed after.

    Attributes:
        nbytes: of all tensors.

    Raises:
        OSError, SafetensorError: it cannot be opened.
    """

    def __init__(self, path: Path):
        self._path = path
        with safe_open(path, framework="pt", device="cpu") as file:
            self._names = dict.fromkeys(file.keys())
        with path.open("rb") as start:
            header = int.from_bytes(start.read(_LENGTH), "little")
        self.nbytes = path.stat().st_size - _LENGTH - header
        self._mapped = self.opened() if self.nbytes < SMALL else None

    def opened(self) -> dict[str, Tensor]:
        """All tensors, as views of the file mapped once; it stays mapped as long as one of them lives."""
        with safe_open(self._path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in self._names}

    def __getitem__(self, name: str) -> Tensor:
        if self._mapped is not None:
            return self._mapped[name]
        if name not in self._names:
            raise KeyError(name)
        with safe_open(self._path, framework="pt", device="cpu") as file:
            return file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def opened(weights: Weights) -> dict[str, Tensor]:
    """All tensors at once, for a network or a message: those of a file mapped once."""
    return weights.opened() if isinstance(weights, StoredWeights) else dict(weights)


class Shelf:
    """A folder for weights that somebody in this process holds; a file goes when nobody does any more.

    A disk that takes no more costs memory and nothing else: weights are then held as they are.

    Args:
        folder: for these weights alone; made when the first are put there.
        small: bytes below which weights are held as they are.
    """

    def __init__(self, folder: Path, small: int = SMALL):
        self._folder, self._small = folder, small
        self._numbers, self._open = count(), True

    def put(self, weights: Weights) -> Weights:
        """The same weights, on the disk; those that are there, or small, are given back."""
        if isinstance(weights, StoredWeights):
            return weights
        if not self._open or nbytes(weights) < self._small:
            return dict(weights)
        path = self._folder / f"{next(self._numbers)}.safetensors"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_weights(path, weights)
            stored = StoredWeights(path)
        except (OSError, SafetensorError):
            _LOG.warning("the disk takes no more weights; those of this job are held in memory from now on")
            self._open = False
            remove(path)
            return dict(weights)
        weakref.finalize(stored, remove, path)
        return stored

    def clear(self) -> None:
        """The job is over; nothing of it is asked for any more."""
        shutil.rmtree(self._folder, ignore_errors=True)


def write_weights(path: Path, weights: Weights) -> None:
    """Write a safetensors file tensor by tensor: each is let go of before the next is asked for.

    Wide types come first, which keeps every tensor aligned.

    Raises:
        OSError: it cannot be written. KeyError: a dtype that no network has.
    """
    like = weights.like if isinstance(weights, Computed) else weights
    places, at = {}, 0
    for size, name, word, shape in sorted(_declared(like), key=lambda one: (-one[0], one[1])):
        end = at + size * math.prod(shape)
        places[name], at = {"dtype": word, "shape": shape, "data_offsets": [at, end]}, end
    header = json.dumps(places).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(_LENGTH, "little") + header)
        for name in places:
            file.write(octets(weights[name]))


def _declared(weights: Weights) -> Iterator[tuple[int, str, str, list[int]]]:
    """Bytes of an element, name, word of the dtype and shape of every tensor."""
    for name, tensor in weights.items():
        yield tensor.element_size(), name, _WORDS[tensor.dtype], list(tensor.shape)


def remove(path: Path) -> None:
    """Remove a file of weights, if it is there; one that cannot be removed costs room and nothing else."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
