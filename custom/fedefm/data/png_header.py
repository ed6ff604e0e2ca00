"""The chunks of a PNG file (W3C PNG, 5.3): its size, how its values are stored, and the stored values alone.

Written by hand: a picture library decides on its own when it decodes, and a file that declares a huge size must be
refused before that. It also decides what the values mean (a palette, significant bits, a gamma); of a mask only the
stored numbers count.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from fedefm.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_BITS = {_GREY: (1, 2, 4, 8, 16), _RGB: (8, 16), _PALETTE: (1, 2, 4, 8), _GREY_ALPHA: (8, 16), _RGBA: (8, 16)}
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


@dataclass(frozen=True)
class PngHeader:
    """What a PNG file declares.

    Attributes:
        shape: 1, rows, columns.
        bits: of one stored value.
        colour: the colour type.
    """

    shape: tuple[int, int, int]
    bits: int
    colour: int

    @property
    def has_palette(self) -> bool:
        """Whether a value is the number of a colour."""
        return self.colour == _PALETTE

    @property
    def is_grey_with_alpha(self) -> bool:
        """Whether a pixel is a grey value and an opacity."""
        return self.colour == _GREY_ALPHA

    @property
    def is_grey(self) -> bool:
        """Whether a pixel is one grey value."""
        return self.colour == _GREY


def read_png_header(path: Path) -> PngHeader:
    """Read the size and sample type of a PNG file.

    Raises:
        DataError: where the header is cut off, or declares what PNG does not have.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise DataError(f"cannot read {path.name}: truncated or not a PNG file; re-export it or remove it")
    columns, rows, bits, colour = struct.unpack_from(">IIBB", head, 16)
    if bits not in _BITS.get(colour, ()):
        raise DataError(f"cannot read {path.name}: PNG has no colour type {colour} of {bits} bits; re-export it")
    return PngHeader((1, rows, columns), int(bits), int(colour))


def stored_values(path: Path, header: PngHeader, *, numbers: bool) -> bytes | None:
    """A PNG file of the stored values alone, for a decoder that would change them; None where it does not.

    A palette with its colours left out is grey. Two bytes of grey and opacity are one value of 16 bits, four bytes are
    four values of 8: the layout of the bytes is the same, so the packed data needs no change.

    Args:
        path: the file.
        header: its own.
        numbers: give the numbers of a palette, not its colours.

    Raises:
        DataError: the file is cut off.
    """
    kinds = _chunks(path)
    drop_palette = header.has_palette and numbers
    remarks = {b"sBIT"} | (set() if header.has_palette else {b"tRNS"})
    if not (drop_palette or header.is_grey_with_alpha or any(kind in remarks for kind, _ in kinds)):
        return None
    colour, bits = header.colour, header.bits
    if drop_palette:
        colour = _GREY
    elif header.is_grey_with_alpha:
        colour, bits = (_GREY, 16) if bits == 8 else (_RGBA, 8)
    kept = _NEEDED if header.has_palette and not drop_palette else (b"IHDR", b"IDAT", b"IEND")
    body = SIGNATURE
    for kind, data in kinds:
        if kind == b"IHDR":
            data = data[:8] + bytes([bits, colour]) + data[10:]
        if kind in kept:
            body += chunk(kind, data)
    return body


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file: its length, its kind, what it holds, and the check of the last two."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def read_exif(path: Path) -> bytes:
    """What a camera or a phone wrote beside the picture; empty where nothing is.

    Raises:
        DataError: the file is cut off.
    """
    with path.open("rb") as file:  # every file is asked when it is opened, so pixels are stepped over
        file.seek(len(SIGNATURE))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return b""
            if kind == b"eXIf" and len(data := file.read(length)) == length:
                return data
            file.seek(length + 4, os.SEEK_CUR)
    raise _truncated(path)


def check_chunks(path: Path) -> None:
    """Refuse a file that ends before its end mark.

    Raises:
        DataError: it does.
    """
    _chunks(path)


def _chunks(path: Path) -> list[tuple[bytes, bytes]]:
    """Kind and content of each chunk up to the end mark; checks of the data are left to the decoder."""
    data, found, position = path.read_bytes(), [], len(SIGNATURE)
    while position + 12 <= len(data):
        length = int(struct.unpack_from(">I", data, position)[0])
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if len(content) < length:
            break
        found.append((kind, content))
        if kind == b"IEND":
            return found
        position += 12 + length
    raise _truncated(path)


def _truncated(path: Path) -> DataError:
    return DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
