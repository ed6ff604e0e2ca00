"""PNG for pictures that are written by the thousand.

Pillow tries five filters on every row, which takes as long as all the rest. One is enough here: no filter for label
maps, whose runs compress as they are, and the difference to the pixel on the left for photographs. Readers see the same
pixels (PNG specification, 2nd edition, sections 5 and 9).
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fedefm.data.png_header import SIGNATURE, chunk

_GREY, _RGB = 0, 2
_NONE, _LEFT = 0, 1
_LEVEL = 1  # of zlib: higher ones take several times as long for a tenth of the size


def write_png(path: Path, pixels: UInt8[np.ndarray, "h w *channels"]) -> None:
    """Write a grey (h, w) or an RGB (h, w, 3) picture of 8 bits.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(png_bytes(pixels))


def png_bytes(pixels: UInt8[np.ndarray, "h w *channels"]) -> bytes:
    """A grey or an RGB picture as the bytes of a PNG file."""
    rows, columns = pixels.shape[:2]
    kind = _GREY if pixels.ndim == 2 else _RGB
    header = struct.pack(">2I5B", columns, rows, 8, kind, 0, 0, 0)
    body = zlib.compress(_filtered(pixels).data, _LEVEL)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _filtered(pixels: UInt8[np.ndarray, "h w *channels"]) -> UInt8[np.ndarray, "h bytes"]:
    """Each row behind the number of its filter."""
    rows, step = len(pixels), 1 if pixels.ndim == 2 else pixels.shape[2]
    plain = pixels.reshape(rows, -1)
    lines = np.empty((rows, 1 + plain.shape[1]), np.uint8)
    if pixels.ndim == 2:
        lines[:, 0], lines[:, 1:] = _NONE, plain
    else:
        lines[:, 0], lines[:, 1 : 1 + step] = _LEFT, plain[:, :step]
        np.subtract(plain[:, step:], plain[:, :-step], out=lines[:, 1 + step :])
    return lines
