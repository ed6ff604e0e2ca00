"""The frames of a DICOM cine as files of one frame each, without the patient's data."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import Header
from fedefm.errors import DataError

Span = tuple[int, int]

_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # JPEG and JPEG-LS; JPEG 2000
_KEPT = frozenset({0x0028_0000 | low for low in range(0x10000)} - {tags.FRAMES})
# what holds for all frames of an enhanced object, too
_KEPT_TOO = frozenset({tags.SOP_CLASS, tags.SOP_INSTANCE, 0x5200_9229})


def frame_spans(path: Path, header: Header) -> list[list[Span]] | None:
    """For each frame, where its bytes are; None where that cannot be said.

    Raises:
        DataError: the file is shorter than it declares.
    """
    if header.fragments:
        return _fragment_spans(path, header)
    bits = header.frame_bits
    if header.text(tags.PHOTOMETRIC) == "YBR_FULL_422":
        bits = bits * 2 // 3
    start, end = header.value_starts[tags.PIXELS], header.spans[tags.PIXELS][1]
    if not bits or bits % 8:
        return None
    if start + header.frames * bits // 8 > end:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
    return [[(start + k * bits // 8, start + (k + 1) * bits // 8)] for k in range(header.frames)]


def frame_bytes(path: Path, header: Header, frames: Iterable[list[Span]]) -> Iterator[bytes]:
    """A DICOM file of one frame for each of some frames.

    Args:
        path: the file.
        header: its header.
        frames: of `frame_spans`.
    """
    with path.open("rb") as file:
        head = _head_of_one(file, header)
        for spans in frames:
            yield head + _pixels_of_one(file, header, spans)


def _fragment_spans(path: Path, header: Header) -> list[list[Span]] | None:
    if len(header.fragments) == header.frames:
        return [[span] for span in header.fragments]
    if len(header.fragments) < header.frames:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
    found: list[list[Span]] = []
    with path.open("rb") as file:
        for start, end in header.fragments:
            file.seek(start)
            if file.read(4).startswith(_STREAM_STARTS):
                found.append([])
            if found:
                found[-1].append((start, end))
    return found if len(found) == header.frames else None


def _head_of_one(file: IO[bytes], header: Header) -> bytes:
    """Preamble, file meta information and the elements that describe the pixels of one frame."""
    kept = [span for tag, span in header.spans.items() if tag >> 16 == 2 or tag in _KEPT or tag in _KEPT_TOO]
    return b"\0" * 128 + b"DICM" + b"".join(_slice(file, span) for span in kept)


def _pixels_of_one(file: IO[bytes], header: Header, spans: list[Span]) -> bytes:
    if not header.fragments:
        value = _slice(file, spans[0])
        start = header.spans[tags.PIXELS][0]
        element = bytearray(_slice(file, (start, header.value_starts[tags.PIXELS])))
        value += bytes(len(value) % 2)
        element[-4:] = struct.pack(">I" if header.big_endian else "<I", len(value))
        return bytes(element) + value
    start = header.spans[tags.PIXELS][0]
    items = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, end - begin) + _slice(file, (begin, end)) for begin, end in spans
    )
    empty, last = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return _slice(file, (start, header.value_starts[tags.PIXELS])) + empty + items + last


def _slice(file: IO[bytes], span: Span) -> bytes:
    file.seek(span[0])
    return file.read(span[1] - span[0])
