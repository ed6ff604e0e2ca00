"""TIFF: pages are frames, grey or colour."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fedefm.data.formats.decode import decode, picture, raster_shape, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader

_IMAGE_IO = "TIFFImageIO"
_PHOTOMETRIC, _BITS = 262, 258  # tags of TIFF 6.0


class Tiff(Reader):
    """A TIFF or BigTIFF file."""

    format = "TIFF"
    endings = (".tif", ".tiff")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its byte order and version; a DICOM file, too, may begin with those."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and head[128:132] != b"DICM"

    def __init__(self, path: Path) -> None:
        self.path, self.shape = path, raster_shape(path, _IMAGE_IO, self.format)

    def check_whole(self) -> None:
        """The decoder notices what is missing."""

    def image(self) -> ImageFrames:
        """All pages; turned where 0 is white, which SimpleITK does for images of single bits only."""
        pixels = decode(self.path, _IMAGE_IO, self.format)
        image = picture(pixels, self.format)
        if pixels.ndim == 3 and _white_is_zero(self.path):
            return replace(image, frames=np.float32(image.low + image.high) - image.frames)
        return image

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The decoded numbers of all pages."""
        return to_labels(decode(self.path, _IMAGE_IO, self.format), self.path.name)


def _white_is_zero(path: Path) -> bool:
    """Whether a file of more than one bit is stored as DICOM's MONOCHROME1 is."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[2:3] == b"\x2b" or head[3:4] == b"\x2b":  # BigTIFF has a longer head
            head += file.read(8)
        try:
            directory = ImageFileDirectory_v2(head)
            file.seek(directory.next)
            directory.load(file)
            return directory.get(_PHOTOMETRIC) == 0 and directory.get(_BITS, (1,))[0] > 1
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return False  # read it was; what its first directory says cannot be told
