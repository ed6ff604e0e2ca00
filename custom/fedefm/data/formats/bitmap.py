"""Bitmaps of annotation tools: BMP, GIF and the portable grey maps, by Pillow."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray
from PIL import Image

from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError

_GREY = ("1", "L", "I;16", "I;16B", "I")
_MAGIC = (b"BM", b"GIF87a", b"GIF89a", *(b"P%d" % k for k in (2, 4, 5, 6)))


class Bitmap(Reader):
    """A file of one picture."""

    format = "bitmap"
    endings = (".bmp", ".gif", ".pgm", ".pbm", ".ppm")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By the magic of its kind; two letters alone are too few to know another format's file by."""
        return head.startswith(_MAGIC) and (ending in Bitmap.endings or head.startswith(b"GIF8"))

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with Image.open(path, formats=("BMP", "GIF", "PPM")) as opened:
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
        return picture(self._pixels(numbers=False), self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers, of a palette those of its colours."""
        return to_labels(self._pixels(numbers=True), self.path.name)

    def _pixels(self, *, numbers: bool) -> NDArray[np.generic]:
        try:
            with Image.open(self.path, formats=("BMP", "GIF", "PPM")) as opened:
                kept = opened.mode in _GREY or (numbers and opened.mode == "P")
                pixels = np.asarray(opened if kept else opened.convert("RGB"))
        except Exception as error:  # of damaged files Pillow raises many kinds
            raise DataError(f"cannot read {self.path.name}: truncated or damaged; save it as PNG") from error
        return (pixels.astype(np.uint8) if pixels.dtype == bool else pixels)[None]
