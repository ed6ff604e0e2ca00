"""PNG: one frame, grey or colour."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fedefm.data.formats.decode import decode, picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.data.png_header import read_png_header

_IMAGE_IO = "PNGImageIO"


class Png(Reader):
    """A PNG file."""

    format = "PNG"
    endings = (".png",)

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its signature."""
        return head.startswith(b"\x89PNG\r\n\x1a\n")

    def __init__(self, path: Path) -> None:
        self.path, self._header = path, read_png_header(path)
        self.shape = self._header.shape

    def check_whole(self) -> None:
        """The decoder notices what is missing."""

    def image(self) -> ImageFrames:
        """The one frame."""
        return picture(decode(self.path, _IMAGE_IO, self.format), self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers: 1, 2 or 4 bits are stretched to 0 ... 255 when they are decoded, and shrunk here."""
        labels, bits = to_labels(decode(self.path, _IMAGE_IO, self.format), self.path.name), self._header.bits
        return labels // (255 // ((1 << bits) - 1)) if self._header.grey and bits < 8 else labels
