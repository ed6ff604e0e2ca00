"""The first bytes of a PNG file (W3C PNG, 11.2.2 IHDR): its size and how its values are stored.

Written by hand: a picture library decides on its own when it decodes, and a file that declares a huge size must be
refused before that. The few bytes that are needed have one fixed place, and reading them takes less time than a library
needs to open the file.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from fedefm.errors import DataError

_GREY, _PALETTE, _GREY_ALPHA = 0, 3, 4


@dataclass(frozen=True)
class PngHeader:
    """What a PNG file declares.

    Attributes:
        shape: 1, rows, columns.
        bits: of one stored value.
        grey: one grey value a pixel, not colours or a palette.
    """

    shape: tuple[int, int, int]
    bits: int
    grey: bool


def read_png_header(path: Path) -> PngHeader:
    """Read the size and sample type of a PNG file.

    Raises:
        DataError: where the header is cut off, or declares grey with transparency, which SimpleITK does not read.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise DataError(f"cannot read {path.name}: truncated or not a PNG file; re-export it or remove it")
    columns, rows, bits, colour = struct.unpack_from(">IIBB", head, 16)
    if colour == _GREY_ALPHA:
        raise DataError(f"{path.name}: grey with an alpha channel; save it without alpha")
    return PngHeader((1, rows, columns), 8 if colour == _PALETTE else int(bits), colour == _GREY)
