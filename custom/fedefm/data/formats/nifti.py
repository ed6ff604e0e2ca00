"""NIfTI, plain or packed: one slice, or a stack as frames, in the order stored."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int64

from fedefm.data.formats.decode import decode, picture, raster_shape, to_labels
from fedefm.data.formats.frame_copy import frame_copy
from fedefm.data.formats.reader import Frame, ImageFrames, Reader
from fedefm.data.nifti_header import HEAD_BYTES, Geometry, one_frame, parse_header
from fedefm.errors import DataError

_IMAGE_IO = "NiftiImageIO"
_MAGIC = (b"n+1\0", b"n+2\0")
_CHUNK = 1 << 20
_MAX_BYTES = 1 << 32  # of the largest readable stack, 16 bytes a pixel


class Nifti(Reader):
    """A NIfTI file of one part."""

    format = "NIFTI"
    endings = (".nii", ".nii.gz")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its magic; of a packed file by that of the packer."""
        if ending == ".nii.gz":
            return head.startswith(b"\x1f\x8b")
        return head[344:348] in _MAGIC or head[4:8] in _MAGIC

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self._head = file.read(HEAD_BYTES)
        self._header = parse_header(path.name, self._head)
        self.shape, self.spacing_mm = self._header.shape, _spacing(*self._header.pixel_mm)

    def geometry(self) -> Geometry:
        """The orientation as it stands in the header; pixels are read without it."""
        if not self._header.geometry.is_finite:
            raise DataError(f"cannot read {self.path.name}: it lies nowhere in space; re-export it or remove it")
        return self._header.geometry

    def check_whole(self) -> None:
        """SimpleITK fills what is missing with zeros, silently."""
        if not self._reaches(self._header.length):
            raise self._truncated()
        raster_shape(self.path, _IMAGE_IO, self.format)  # refuses what SimpleITK would not decode

    def image(self) -> ImageFrames:
        """All frames; slope and intercept are applied."""
        return picture(decode(self.path, _IMAGE_IO, self.format), self.format, self.spacing_mm)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The numbers of all frames."""
        return to_labels(decode(self.path, _IMAGE_IO, self.format), self.path.name)

    def stream(self, wanted: range) -> Iterator[Frame] | None:
        """Each frame as a file of its own: SimpleITK would unpack a `.nii.gz` as a whole for each of them."""
        if self._header.planes > 1 or self._header.bits < 8:
            return None
        return self._frames(wanted)

    def _frames(self, wanted: range) -> Iterator[Frame]:
        _, rows, columns = self.shape
        length = rows * columns * self._header.bits // 8
        with self._open() as file:
            for number in wanted:
                file.seek(self._header.offset + number * length)
                pixels = file.read(length)
                if len(pixels) < length:
                    raise self._truncated()
                with frame_copy(one_frame(self._head, self._header, pixels), ".nii", self.path) as copy:
                    file_of_one = Nifti(copy)
                    file_of_one.check_whole()
                    frame = file_of_one.image().frames[0]
                yield frame

    @property
    def _packed(self) -> bool:
        return self.path.name.lower().endswith(".gz")

    def _reaches(self, length: int) -> bool:
        """Whether the file, unpacked, has that many bytes; reading them checks the packed data on the way."""
        if not self._packed:
            return self.path.stat().st_size >= length
        with self._open() as file:
            while 0 < length <= _MAX_BYTES and (piece := file.read(min(_CHUNK, length))):
                length -= len(piece)
        return length <= 0

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The file, unpacked."""
        try:
            with gzip.open(self.path) if self._packed else self.path.open("rb") as file:
                yield file  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._truncated() from error

    def _truncated(self) -> DataError:
        return DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")


def _spacing(columns: float, rows: float) -> float | None:
    """Millimetres a pixel where both directions agree; 1 exactly is what writers put that know nothing."""
    if not 0 < columns < float("inf") or columns == rows == 1 or not abs(rows - columns) <= 0.01 * columns:
        return None
    return float(columns)
