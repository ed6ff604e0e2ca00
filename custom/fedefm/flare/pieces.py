"""A tensor travels in pieces, so that what a message costs in memory does not grow with the largest tensor.

FLARE 2.9.0 sends a state dict in messages of 2 MB, but one tensor is never divided: a convolution of 512 channels has
9 MB, of which the sender holds some copies for each hospital that fetches at that moment. A piece is a tensor of
safetensors whose name says where it belongs: `T3/262144/512x512x3x3` is what begins at value 262144 of tensor `T3`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.app_opt.pt.tensor_downloader import TensorConsumer, TensorDownloadable
from nvflare.fuel.f3.streaming.download_service import Downloadable, download_object
from nvflare.fuel.utils import fobs
from safetensors.torch import load
from torch import Tensor

from fedefm.errors import ProtocolError

PIECE_BYTES = 1_900_000  # below FLARE's 2 MB, so that a message brings one and no more
_PIECE = re.compile(r"([^/]{1,300})/(\d{1,15})/(\d{1,15}(?:x\d{1,15}){0,7})")


@dataclass(frozen=True)
class Piece:
    """Some values of a tensor.

    Attributes:
        key: of the tensor.
        start: number of its first value.
        stop: number after its last.
        name: under which it travels.
    """

    key: str
    start: int
    stop: int
    name: str


def pieces_of(key: str, tensor: Tensor) -> Iterator[Piece]:
    """How a tensor is divided; a small one travels whole, under its own name."""
    count = tensor.numel()
    most = max(1, PIECE_BYTES // max(1, tensor.element_size()))
    if count <= most:
        yield Piece(key, 0, count, key)
        return
    shape = "x".join(map(str, tensor.shape))
    for start in range(0, count, most):
        yield Piece(key, start, min(count, start + most), f"{key}/{start}/{shape}")


def count_of(nbytes: int) -> int:
    """Most pieces of a tensor of so many bytes, with values of at most eight."""
    return max(1, -(-nbytes // (PIECE_BYTES - 7)))


class Pieces(TensorDownloadable):  # type: ignore[misc]
    """Tensors to be fetched, piece by piece."""

    def __init__(self, tensors: Mapping[str, Tensor], max_chunk_size: int):
        self._pieces = [piece for key, tensor in tensors.items() for piece in pieces_of(key, tensor)]
        super().__init__(_Divided(tensors, self._pieces), max_chunk_size)


class _Divided(Mapping[str, Tensor]):
    """The same values under the names of the pieces; nothing is copied."""

    def __init__(self, tensors: Mapping[str, Tensor], pieces: list[Piece]):
        self._tensors, self._pieces = tensors, {piece.name: piece for piece in pieces}

    def __getitem__(self, name: str) -> Tensor:
        piece = self._pieces[name]
        tensor = self._tensors[piece.key]
        return tensor if name == piece.key else tensor.reshape(-1)[piece.start : piece.stop]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


class Joined:
    """Tensors that come in pieces, those of a tensor in their order.

    Args:
        room: bytes that all tensors together may have; None trusts the sender.
    """

    def __init__(self, room: int | None = None):
        self._room = room
        self._open: dict[str, tuple[Tensor, int]] = {}

    def add(self, data: bytes) -> dict[str, Tensor]:
        """The tensors that are whole with this message.

        Raises:
            ProtocolError: a piece does not fit the others of its tensor, or there is no room for its tensor.
        """
        whole: dict[str, Tensor] = {}
        for name, values in load(data).items():
            if "/" not in name:
                whole[name] = values
            elif (done := self._place(name, values)) is not None:
                whole[done[0]] = done[1]
        return whole

    @property
    def missing(self) -> list[str]:
        """Keys of tensors that are not whole, sorted."""
        return sorted(self._open)

    def _place(self, name: str, values: Tensor) -> tuple[str, Tensor] | None:
        found = _PIECE.fullmatch(name)
        if found is None:
            raise ProtocolError("sends a piece of a tensor without its place; the rest is not fetched")
        key, start, shape = found[1], int(found[2]), tuple(map(int, found[3].split("x")))
        if key not in self._open:
            self._open[key] = (self._empty(shape, values.dtype), 0)
        tensor, filled = self._open[key]
        alike = tensor.shape == shape and tensor.dtype == values.dtype and values.ndim == 1
        stop = start + values.numel()
        if not alike or start != filled or not start < stop <= tensor.numel():
            raise ProtocolError("sends pieces that do not fit together; the rest is not fetched")
        tensor.view(-1)[start:stop] = values
        self._open[key] = (tensor, stop)
        if stop < tensor.numel():
            return None
        del self._open[key]
        return key, tensor

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = math.prod(shape) * dtype.itemsize
        if self._room is not None:
            self._room -= size
            if self._room < 0:
                raise ProtocolError("sends more than the weights that it was asked for; the rest is not fetched")
        return torch.empty(shape, dtype=dtype)


class PiecesConsumer(TensorConsumer):  # type: ignore[misc]
    """Puts the tensors together as their pieces come.

    Args:
        room: as in `Joined`.
    """

    def __init__(self, room: int | None = None):
        super().__init__(None, {})
        self._joined = Joined(room)

    def consume_items(self, items: list[Any], result: Any) -> Any:
        """Place what a message brings."""
        result = {} if result is None else result
        for item in items:
            result.update(self._joined.add(item))
        return result

    def download_completed(self, ref_id: str) -> None:
        """Nothing may be missing."""
        if self._joined.missing:
            self.download_failed(ref_id, f"{len(self._joined.missing)} tensors are not whole")


class PiecesDecomposer(TensorDecomposer):  # type: ignore[misc]
    """FLARE's way of sending tensors, with pieces of them."""

    def to_downloadable(self, items: dict[str, Tensor], max_chunk_size: int, fobs_ctx: dict[str, Any]) -> Downloadable:
        """What the receivers fetch from."""
        return Pieces(items, max_chunk_size)

    @staticmethod
    def _download(*, use_disk: bool = False, root_dir: str | None = None, **where: Any) -> tuple[Any, Any]:
        consumer = PiecesConsumer()
        download_object(consumer=consumer, **where)
        return consumer.error, consumer.result


def register_decomposers() -> None:
    """Let FLARE carry torch tensors; both ends call it when the run starts."""
    fobs.register(PiecesDecomposer)
