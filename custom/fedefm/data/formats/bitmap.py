"""Bitmaps of annotation tools: BMP and GIF by Pillow, and the portable maps of Netpbm."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray
from PIL import Image

from fedefm.data.formats import netpbm
from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError

_MAGIC = (b"BM", b"GIF87a", b"GIF89a")
_HEAD = 1 << 16  # bytes in which the header of a portable map must end


class Bitmap(Reader):
    """A file of one picture."""

    format = "bitmap"
    endings = (".bmp", ".gif", ".pgm", ".pbm", ".ppm", ".pnm")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By the magic of its kind; two letters alone are too few to know another format's file by."""
        known = head.startswith(_MAGIC) or netpbm.MAGIC.match(head) is not None
        return known and (ending in Bitmap.endings or head.startswith(b"GIF8"))

    def __init__(self, path: Path) -> None:
        self.path, self._map, frames = path, None, 1
        with path.open("rb") as file:
            head = file.read(_HEAD)
        try:
            if netpbm.MAGIC.match(head):
                self._map = netpbm.read_map(head)
                self.shape = (1, *self._map.size)
                return
            with Image.open(path, formats=("BMP", "GIF")) as opened:
                self.shape = (1, opened.height, opened.width)
                frames = getattr(opened, "n_frames", 1)
        except Exception as error:  # of damaged files Pillow raises many kinds
            raise DataError(f"cannot read {path.name}: its header is damaged; save it as PNG") from error
        if frames > 1:
            raise DataError(f"{path.name}: an animation of {frames} frames; save them as PNG or as one TIFF stack")

    def check_whole(self) -> None:
        """The decoder notices what is missing."""

    def image(self) -> ImageFrames:
        """The one frame."""
        image = picture(self._pixels(numbers=False), self.format)
        return image if self._map is None else replace(image, high=float(self._map.greatest))

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers, of a palette those of its colours."""
        return to_labels(self._pixels(numbers=True), self.path.name)

    def _pixels(self, *, numbers: bool) -> NDArray[np.generic]:
        data = self.path.read_bytes()
        if self._map is not None:
            return self._mapped(data, self._map)[None]
        try:
            with Image.open(io.BytesIO(_distinct(data)), formats=("BMP", "GIF")) as opened:
                indices = np.asarray(opened) if opened.mode in ("1", "L", "P") else None
                pixels = np.asarray(opened.convert("RGB")) if indices is None else indices
                if indices is not None and not numbers:
                    pixels = _coloured(data, opened, indices)
        except Exception as error:  # of damaged files Pillow raises many kinds
            raise DataError(f"cannot read {self.path.name}: truncated or damaged; save it as PNG") from error
        return (pixels.astype(np.uint8) if pixels.dtype == bool else pixels)[None]

    def _mapped(self, data: bytes, head: netpbm.Map) -> NDArray[np.generic]:
        try:
            return netpbm.read_values(data, head)
        except EOFError as error:
            raise DataError(f"cannot read {self.path.name}: truncated; save it as PNG") from error
        except ValueError as error:
            several = str(error) == "several"
            what = "several pictures in one file; save each as PNG" if several else "its values are damaged"
            raise DataError(
                f"cannot read {self.path.name}: {what}" + ("" if several else "; save it as PNG")
            ) from error


def _palette(data: bytes) -> tuple[int, int, int] | None:
    """Where the palette of a BMP starts and ends, and how many bytes a colour takes; None where it has none."""
    if not data.startswith(b"BM") or len(data) < 30:
        return None
    start, size = struct.unpack_from("<II", data, 10)
    bits = struct.unpack_from("<H", data, 24 if size == 12 else 28)[0]
    first, width = 14 + size, 3 if size == 12 else 4
    count = min(256, 1 << bits, max(0, start - first) // width) if bits <= 8 else 0
    return (first, first + count * width, width) if count else None


def _distinct(data: bytes) -> bytes:
    """A BMP whose colours are no ramp of grey, of which Pillow would make other numbers, or which it cannot read."""
    found = _palette(data)
    if found is None:
        return data
    first, end, _ = found
    return data[:first] + bytes(k % 251 for k in range(end - first)) + data[end:]


def _coloured(data: bytes, opened: Image.Image, indices: NDArray[np.generic]) -> NDArray[np.generic]:
    """Numbers of a palette as its colours."""
    found = _palette(data)
    if found is None:
        return np.asarray(opened.convert("RGB")) if opened.mode == "P" else indices
    first, end, width = found
    table: NDArray[np.uint8] = np.zeros((256, 3), np.uint8)
    colours = np.frombuffer(data[first:end], np.uint8).reshape(-1, width)[:, 2::-1]
    table[: len(colours)] = colours
    return table[indices.astype(np.uint8)]
