"""PNG: one frame, grey or colour."""

from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data.formats.decode import decode, decode_bytes, exif_orientation, picture, to_labels, upright
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.data.png_header import SIGNATURE, check_chunks, read_exif, read_png_header, stored_values
from fedefm.errors import DataError

_IMAGE_IO = "PNGImageIO"


class Png(Reader):
    """A PNG file."""

    format = "PNG"
    endings = (".png",)

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its signature."""
        return head.startswith(SIGNATURE)

    def __init__(self, path: Path) -> None:
        self.path, self._header = path, read_png_header(path)
        _, rows, columns = self._header.shape
        self.shape = (1, columns, rows) if self._orientation > 4 else (1, rows, columns)

    def check_whole(self) -> None:
        """Walk the chunks up to the end mark."""
        check_chunks(self.path)

    def image(self) -> ImageFrames:
        """The one frame, the right way up; opacity is left out."""
        pixels = upright(self._decoded(numbers=False), self._orientation)
        return picture(pixels[..., 0] if self._header.is_grey_with_alpha else pixels, self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers, of a palette those of its colours.

        Values of 1, 2 or 4 bits are stretched to 0 ... 255 when they are decoded, and shrunk here.
        """
        labels, bits = to_labels(self._decoded(numbers=True), self.path.name), self._header.bits
        labels = upright(labels, self._orientation)
        one_number = self._header.is_grey or self._header.has_palette
        return labels // (255 // ((1 << bits) - 1)) if one_number and bits < 8 else labels

    @cached_property
    def _orientation(self) -> int:
        """As viewers turn it; a file that is cut off is told later."""
        try:
            return exif_orientation(self.path.name, read_exif(self.path))
        except DataError:
            return 1

    def _decoded(self, *, numbers: bool) -> NDArray[np.generic]:
        """Values as they are stored: no significant bits, no gamma; grey and opacity as two channels."""
        data = stored_values(self.path, self._header, numbers=numbers)
        if data is None:
            return decode(self.path, _IMAGE_IO, self.format)
        pixels = decode_bytes(data, ".png", self.path, _IMAGE_IO, self.format)
        if not self._header.is_grey_with_alpha:
            return pixels
        if self._header.bits == 8:
            return np.stack([pixels >> 8, pixels & 0xFF], axis=-1).astype(np.uint8)  # type: ignore[operator]
        high, low = pixels[..., 0::2].astype(np.uint16), pixels[..., 1::2].astype(np.uint16)
        return high << 8 | low
