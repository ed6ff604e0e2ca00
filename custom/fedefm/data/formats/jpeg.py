"""JPEG: one frame, grey or colour, of 8 bits."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fedefm.data.formats.decode import decode, picture, raster_shape, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError

_IMAGE_IO = "JPEGImageIO"


class Jpeg(Reader):
    """A JPEG file."""

    format = "JPEG"
    endings = (".jpg", ".jpeg")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its first marker."""
        return head.startswith(b"\xff\xd8\xff")

    def __init__(self, path: Path) -> None:
        self.path, self.shape = path, raster_shape(path, _IMAGE_IO, self.format)

    def check_whole(self) -> None:
        """SimpleITK fills what is missing with grey, silently."""
        if not is_whole(self.path.read_bytes()):
            raise DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")

    def image(self) -> ImageFrames:
        """The one frame."""
        return picture(decode(self.path, _IMAGE_IO, self.format), self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The decoded numbers, which are near those that were saved, and not the same."""
        return to_labels(decode(self.path, _IMAGE_IO, self.format), self.path.name)


def is_whole(data: bytes) -> bool:
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
