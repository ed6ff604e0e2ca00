"""NIfTI, plain or packed: one slice, or a stack as frames, in the order stored.

Its pixels lie one after the other, so they are taken as they are: what the header says of space may be more than a
library accepts (a matrix with shear), and is not needed to read a stack.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import Frame, ImageFrames, Reader, Spacing
from fedefm.data.nifti_header import HEAD_BYTES, Geometry, parse_header
from fedefm.errors import DataError

_MAGIC = (b"n+1\0", b"n+2\0")
_CHUNK = 1 << 20
_MAX_BYTES = 1 << 32  # of the largest readable stack, 16 bytes a pixel
# Data types of nifti1.h; the colour ones have 3 or 4 bytes a pixel.
_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_COLOURS = {128: 3, 2304: 4}


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
            self._header = parse_header(path.name, file.read(HEAD_BYTES))
        self.shape, self.spacing_mm = self._header.shape, _spacing(*self._header.pixel_mm)

    @property
    def lies(self) -> Geometry | None:
        """By the matrix or the quaternion of the header."""
        return self._header.geometry

    def geometry(self) -> Geometry:
        """The orientation as it stands in the header; pixels are read without it."""
        if not self._header.geometry.is_finite:
            raise DataError(f"cannot read {self.path.name}: it lies nowhere in space; re-export it or remove it")
        return self._header.geometry

    def check_whole(self) -> None:
        """Count the bytes, and refuse kinds of pixels that no image or mask has."""
        kind, bits = self._header.kind, self._header.bits
        if kind not in _KINDS and kind not in _COLOURS:
            raise DataError(
                f"{self.path.name}: pixels of NIfTI's type {kind} are not read; save it as int16 or float32"
            )
        if self._header.planes not in (1, 3, 4):
            raise DataError(f"{self.path.name} has {self._header.planes} values a pixel; save it as grey or RGB")
        if bits != 8 * (_COLOURS.get(kind) or np.dtype(_KINDS[kind]).itemsize):
            raise DataError(f"cannot read {self.path.name}: its type and its bits a pixel differ; re-export it")
        if not self._reaches(self._header.length):
            raise self._truncated()

    def image(self) -> ImageFrames:
        """All frames; slope and intercept are applied."""
        return picture(self._scaled(self._stored(range(self.shape[0]))), self.format, self.spacing_mm)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The numbers of all frames; scaled ones may miss whole numbers by what rounding left."""
        stored = self._stored(range(self.shape[0]))
        scaled = self._scaled(stored)
        if scaled is stored:
            return to_labels(stored, self.path.name)
        values = scaled.astype(np.float64)
        whole = np.round(values)
        return to_labels(whole if (np.abs(values - whole) < 1e-3).all() else values, self.path.name)

    def stream(self, wanted: range) -> Iterator[Frame] | None:
        """One frame at a time."""
        return None if self._header.planes > 1 else self._frames(wanted)

    def _frames(self, wanted: range) -> Iterator[Frame]:
        self.check_whole()
        for number in wanted:
            yield picture(self._scaled(self._stored((number,))), self.format).frames[0]

    def _stored(self, wanted: Sequence[int]) -> NDArray[np.generic]:
        """Frames as they are stored: (n, h, w), and a fourth axis for colour."""
        header = self._header
        frames, rows, columns = self.shape
        samples = _COLOURS.get(header.kind, 1)
        kind = np.dtype(_KINDS.get(header.kind, "u1")).newbyteorder(header.order)
        length = rows * columns * samples * kind.itemsize
        planes = []
        with self._open() as file:
            for plane in range(header.planes):
                data = bytearray()
                for number in wanted:
                    file.seek(header.offset + (plane * frames + number) * length)
                    data += file.read(length)
                if len(data) < length * len(wanted):
                    raise self._truncated()
                planes.append(np.frombuffer(data, kind).reshape(len(wanted), rows, columns, samples))
        whole = np.concatenate(planes, axis=-1) if len(planes) > 1 else planes[0]
        pixels: NDArray[np.generic] = whole.astype(whole.dtype.newbyteorder("="), copy=False)
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels

    def _scaled(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """A slope of 0 means none, and so do numbers that mean nothing."""
        slope, intercept = self._header.scale
        if slope == 0 or not np.isfinite((slope, intercept)).all() or (slope, intercept) == (1, 0) or stored.ndim == 4:
            return stored
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)

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


def _spacing(columns: float, rows: float) -> Spacing | None:
    """Millimetres of a pixel; 1 exactly is what writers put that know nothing."""
    if not 0 < columns < float("inf") or not 0 < rows < float("inf") or columns == rows == 1:
        return None
    return float(rows), float(columns)
