"""JPEG: one frame, grey or colour."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data.formats.decode import decode, exif_orientation, picture, refuse_lossy_mask, upright
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError

_IMAGE_IO = "JPEGImageIO"
_EXIF = b"Exif\0\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _APP1 = 0xDA, 0xE1


class Jpeg(Reader):
    """A JPEG file."""

    format = "JPEG"
    endings = (".jpg", ".jpeg", ".jpe", ".jfif")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its first marker."""
        return head.startswith(b"\xff\xd8\xff")

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        size, self._orientation = _size(data), _orientation(path.name, data)
        if size is None:
            raise DataError(f"cannot read {path.name}: truncated before its size; re-export it or remove it")
        self.shape = (1, *(size[::-1] if self._orientation > 4 else size))

    def check_whole(self) -> None:
        """SimpleITK fills what is missing with grey, silently."""
        if not is_whole(self.path.read_bytes()):
            raise DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")

    def image(self) -> ImageFrames:
        """The one frame, the right way up."""
        pixels: NDArray[np.generic] = decode(self.path, _IMAGE_IO, self.format)
        return picture(upright(pixels, self._orientation), self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """Refused: the decoded numbers are near those that were saved, and not the same."""
        refuse_lossy_mask(self.path.name)
        raise AssertionError


def is_whole(data: bytes) -> bool:
    """Whether a JPEG stream has its end marker, by ITU-T T.81 annex B."""
    # inside a scan FF is followed by 00 or a restart marker, so this is the end and no thumbnail's
    return any(marker == _SCAN and data.find(b"\xff\xd9", start) >= 0 for marker, start, _ in _segments(data))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment up to the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xFF:  # fill byte
            position += 1
            continue
        marker, length = data[position + 1], int(struct.unpack_from(">H", data, position + 2)[0])
        yield marker, position + 4, position + 2 + length
        if marker == _SCAN:
            return
        position += 2 + length


def _size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns."""
    for marker, start, end in _segments(data):
        if marker in _FRAMES and start + 5 <= min(end, len(data)):
            rows, columns = struct.unpack_from(">HH", data, start + 1)
            return int(rows), int(columns)
    return None


def _orientation(name: str, data: bytes) -> int:
    """As a camera notes how it was held; 1 where it does not."""
    for marker, start, end in _segments(data):
        if marker == _APP1 and data[start : start + len(_EXIF)] == _EXIF:
            return exif_orientation(name, data[start + len(_EXIF) : end])
    return 1
