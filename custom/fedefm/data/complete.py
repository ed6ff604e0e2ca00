"""Is a file as long as it says? SimpleITK fills what is missing from JPEG and NIfTI with grey or zeros, silently."""

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path

from fedefm.data.formats import Format
from fedefm.data.limits import MAX_PIXELS
from fedefm.errors import DataError

_CHUNK = 1 << 20
_MAX_BYTES = 16 * MAX_PIXELS  # of the largest pixel type


def check_complete(path: Path, kind: Format) -> None:
    """Refuse a truncated JPEG or NIfTI file; the other formats' readers notice it themselves.

    Raises:
        DataError: where the picture's end is missing.
    """
    whole = True
    if kind is Format.JPEG:
        whole = jpeg_is_whole(path.read_bytes())
    elif kind is Format.NIFTI:
        whole = _nifti_is_whole(path)
    if not whole:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")


def jpeg_is_whole(data: bytes) -> bool:
    """Whether a JPEG stream has its end marker, by ITU-T T.81 annex B."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xFF:  # fill byte
            position += 1
            continue
        if data[position + 1] == 0xDA:
            # inside a scan FF is followed by 00 or a restart marker, so this is the end and no thumbnail's
            return data.find(b"\xff\xd9", position) >= 0
        position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    return False


def _nifti_is_whole(path: Path) -> bool:
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            needed = _nifti_length(file.read(540))
            if needed is None:
                return False
            if needed > _MAX_BYTES:
                return True  # refused by the bound on declared sizes, in better words
            if not packed:
                return path.stat().st_size >= needed
            file.seek(0)
            return _reaches(file, needed)
    except (EOFError, OSError, zlib.error):
        return False


def _nifti_length(head: bytes) -> int | None:
    """Bytes that the header says the file has: where the pixels start, and the pixels; None where it is no header."""
    for order in "<>":
        size = struct.unpack(order + "i", head[:4])[0] if len(head) >= 348 else 0
        if size == 348:
            dimensions, bits = struct.unpack_from(order + "8h", head, 40), struct.unpack_from(order + "h", head, 72)[0]
            offset = struct.unpack_from(order + "f", head, 108)[0]
        elif size == 540 and len(head) >= 540:
            dimensions, bits = struct.unpack_from(order + "8q", head, 16), struct.unpack_from(order + "h", head, 14)[0]
            offset = struct.unpack_from(order + "q", head, 168)[0]
        else:
            continue
        pixels = math.prod(max(1, side) for side in dimensions[1 : 1 + min(max(dimensions[0], 0), 7)])
        return int(offset) + pixels * bits // 8 if math.isfinite(offset) else None
    return None


def _reaches(file: gzip.GzipFile | BufferedReader, needed: int) -> bool:
    """Whether a stream has that many bytes; reads in pieces, and so checks the packed data on the way."""
    while needed > 0:
        piece = file.read(min(_CHUNK, needed))
        if not piece:
            return False
        needed -= len(piece)
    return True
