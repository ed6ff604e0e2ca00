"""What hides beside the picture in DICOM pixel data, blanked where it stands; no pixel changes.

Overlays in spare bits, bytes behind the last frame, and comments, previews and EXIF data of compressed streams.
"""

import struct
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from fedefm.errors import DataError

_ITEM = b"\xfe\xff\x00\xe0"
_COMMENT = 0xFE
_KEPT = (0xE0, 0xE8, 0xEE)  # JFIF, colour of JPEG-LS, Adobe: they say how to decode
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without content
_JFIF = 14  # bytes of it before its preview
_SCAN, _TILE, _J2K_COMMENT = 0xDA, 0x90, 0x64


def clean_pixels(dataset: Dataset) -> None:
    """Blank what is no picture in the pixel data, in place.

    Args:
        dataset: as it was read, overlay groups included.

    Raises:
        DataError: an overlay lies within compressed pixels.
    """
    if "PixelData" not in dataset:
        return
    data = dataset.PixelData
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax and syntax.is_encapsulated:
        sizes = [tag for tag in dataset.keys() if tag.group & 0xFF00 == 0x6000 and tag.element == 0x0100]  # noqa: SIM118
        if any(dataset[tag].value > 1 for tag in sizes):
            raise DataError("an overlay lies in the bits of its compressed pixels; export it uncompressed")
        dataset["PixelData"].value = _without_remarks(data)
        return
    length = _whole(dataset, len(data))
    kept = data[:length] if length else data
    if dataset.get("BitsStored", 0) < dataset.get("BitsAllocated", 0) in (8, 16):
        kept = _stored_bits(kept, dataset, ">" if syntax == "1.2.840.10008.1.2.2" else "<")
    dataset["PixelData"].value = kept + bytes(len(kept) % 2)


def _whole(dataset: Dataset, length: int) -> int:
    """Bytes of all frames; 0 where the header does not tell."""
    sides = [int(dataset.get(key, 0) or 0) for key in ("Rows", "Columns", "BitsAllocated")]
    bits = sides[0] * sides[1] * sides[2] * int(dataset.get("SamplesPerPixel", 1) or 1)
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    if not bits:
        return 0
    return -(-(int(dataset.get("NumberOfFrames", 0) or 0) or 8 * length // bits) * bits // 8)


def _stored_bits(data: bytes, dataset: Dataset, order: str) -> bytes:
    """The values with nothing in the bits beside them; those above a signed value repeat its sign."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    width = allocated // 8
    words = np.frombuffer(data[: len(data) // width * width], f"{order}u{width}")
    shift = int(dataset.get("HighBit", stored - 1)) + 1 - stored
    if stored < 1 or not 0 <= shift <= allocated - stored:
        return data
    kept = words & (((1 << stored) - 1) << shift)
    if dataset.get("PixelRepresentation", 0) and not shift:
        negative = (words >> (stored - 1)) & 1
        kept = kept | negative * (((1 << allocated) - 1) ^ ((1 << stored) - 1))
    return kept.astype(words.dtype).tobytes() + bytes(len(data) % width)


def _without_remarks(data: bytes) -> bytes:
    """Compressed streams with nothing in them but the picture; their lengths do not change."""
    found = bytearray(data)
    for start, end in _fragments(data):
        for first, last in _remarks(data[start:end]):
            found[start + first : start + last] = bytes(last - first)
    return bytes(found)


def _fragments(data: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while data[position : position + 4] == _ITEM and position + 8 <= len(data):
        length = int(struct.unpack_from("<I", data, position + 4)[0])
        yield position + 8, min(len(data), position + 8 + length)
        position += 8 + length


def _remarks(stream: bytes) -> Iterator[tuple[int, int]]:
    """Where comments, previews and the like stand in the head of a JPEG or JPEG 2000 stream (T.81, T.800)."""
    jpeg, j2k = stream.startswith(b"\xff\xd8\xff"), stream.find(b"\xff\x4f\xff\x51")
    position = 2 if jpeg else j2k + 2 if j2k >= 0 else len(stream)
    while position + 4 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker in (0xFF, *_ALONE):
            position += 1 if marker == 0xFF else 2
            continue
        end = min(len(stream), position + 2 + int(struct.unpack_from(">H", stream, position + 2)[0]))
        if marker == (_SCAN if jpeg else _TILE):
            return
        if jpeg and marker == 0xE0:
            yield min(end, position + 4 + (_JFIF if stream[position + 4 : position + 9] == b"JFIF\0" else 0)), end
        elif jpeg and (marker == _COMMENT or (0xE0 < marker < 0xF0 and marker not in _KEPT)):
            yield min(end, position + 4), end
        elif not jpeg and marker == _J2K_COMMENT:
            yield min(end, position + 6), end
        position = end
