"""Tensors that are divided, served as FLARE serves them, and put together; and pieces that no peer should send."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.fuel.f3.streaming.download_service import ProduceRC
from nvflare.fuel.utils import fobs
from safetensors.torch import save

from fedefm.errors import ProtocolError
from fedefm.flare.pieces import (
    PIECE_BYTES,
    Joined,
    Pieces,
    PiecesConsumer,
    PiecesDecomposer,
    count_of,
    pieces_of,
    register_decomposers,
)

CHUNK = 2 * 1024 * 1024
LARGE = 3 * PIECE_BYTES // 8  # values of float32 in one and a half pieces


def served(tensors: dict[str, torch.Tensor]) -> list[list[bytes]]:
    """The messages in which FLARE sends them."""
    source, messages, state = Pieces(tensors, CHUNK), [], {}
    source.num_receivers = 1
    while True:
        code, items, state = source.produce(state, "b")
        if code == ProduceRC.EOF:
            return messages
        messages.append(items)


def taken(messages: list[list[bytes]], room: int | None = None) -> PiecesConsumer:
    """What a receiver makes of them."""
    consumer = PiecesConsumer(room)
    for items in messages:
        consumer.consume("R", {}, items)
    consumer.download_completed("R")
    return consumer


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=3),
    st.integers(0, 3),
    st.sampled_from([torch.float32, torch.float16, torch.int64, torch.bool]),
)
def test_pieces_cover_a_tensor_once_and_none_is_too_large(shape: list[int], factor: int, dtype: torch.dtype) -> None:
    tensor = torch.empty([*shape, factor * 100_003], dtype=dtype)
    pieces = list(pieces_of("T0", tensor))
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == tensor.numel()
    assert all((piece.stop - piece.start) * dtype.itemsize <= PIECE_BYTES for piece in pieces)
    assert len(pieces) <= count_of(tensor.nbytes)
    assert len({piece.name for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_what_is_served_comes_whole_in_messages_of_two_megabytes(dtype: torch.dtype) -> None:
    tensors = {
        "T0": torch.arange(LARGE * 2).reshape(2, -1).to(dtype),
        "T1": torch.tensor(3).to(dtype),
        "T2": torch.zeros(0, 4, dtype=dtype),
        "T3": torch.arange(12).reshape(3, 4).to(dtype),
    }
    messages = served(tensors)
    assert all(sum(map(len, items)) <= CHUNK for items in messages)
    consumer = taken(messages, sum(tensor.nbytes for tensor in tensors.values()))
    assert consumer.error is None and consumer.result.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert consumer.result[name].dtype == dtype and torch.equal(consumer.result[name], tensor)


def test_a_large_tensor_is_held_piece_by_piece() -> None:
    """Of eight pieces the sender makes one and prepares the next: not all of them."""
    source = Pieces({"T0": torch.zeros(2 * PIECE_BYTES - 4)}, CHUNK)
    source.num_receivers = 1
    _, items, _ = source.produce({}, "b")
    assert source.size == 8 and len(items) == 1 and len(items[0]) <= PIECE_BYTES + 1024
    assert len(source._prefetch_futures) <= 1
    source.release()


def piece(name: str, length: int, dtype: torch.dtype = torch.float32) -> bytes:
    return save({name: torch.ones(length, dtype=dtype)})


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([piece("T0/0/10", 6), piece("T0/3/10", 4)], "do not fit"),  # ten values in all, and a hole at the end
        ([piece("T0/5/10", 5)], "do not fit"),
        ([piece("T0/0/10", 6), piece("T0/0/10", 6)], "do not fit"),
        ([piece("T0/0/10", 6), piece("T0/6/11", 4)], "do not fit"),
        ([piece("T0/0/10", 6), piece("T0/6/10", 4, torch.float16)], "do not fit"),
        ([piece("T0/6/10", 5)], "do not fit"),
        ([save({"T0/0/4x4": torch.ones(2, 2)})], "do not fit"),
        ([piece("T0/0/10", 0)], "do not fit"),
        ([piece("T0/0/100000000000000", 1)], "more than the weights"),
        ([piece("T0/0/30", 1), piece("T1/0/30", 1)], "more than the weights"),
        ([piece("T0/x/10", 1)], "without its place"),
        ([piece("T0/0", 1)], "without its place"),
        ([piece("/0/10", 1)], "without its place"),
        ([piece("T0/0/10x", 1)], "without its place"),
        ([piece("T0/-1/10", 1)], "without its place"),
    ],
)
def test_pieces_that_cannot_be_a_tensors_are_refused(pieces: list[bytes], reason: str) -> None:
    joined = Joined(room=200)
    with pytest.raises(ProtocolError, match=reason):
        for data in pieces:
            joined.add(data)


def test_a_tensor_that_stays_open_is_no_tensor() -> None:
    consumer = taken([[piece("T0/0/10", 9)], [piece("T1", 3)]])
    assert "1 tensors are not whole" in str(consumer.error) and consumer.result is None


def test_flare_sends_tensors_in_pieces() -> None:
    register_decomposers()
    known = fobs.fobs._decomposers[f"{torch.Tensor.__module__}.{torch.Tensor.__qualname__}"]
    assert type(known) is PiecesDecomposer
    assert isinstance(known.to_downloadable({"T0": torch.zeros(3)}, CHUNK, {}), Pieces)
