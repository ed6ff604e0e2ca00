"""Label maps as one NIfTI stack, written frame by frame."""

import gzip
import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fedefm.data.nifti_header import Geometry

MAX_FRAMES = 32767  # a side is 16 bits in NIfTI-1
_UINT8 = 2


class NiftiStack:
    """`labels.nii.gz`: uint8, on the grid of the source.

    Args:
        folder: where to write.
        shape: frames, rows, columns.
        geometry: of the source.
    """

    name = "labels.nii.gz"

    def __init__(self, folder: Path, shape: tuple[int, int, int], geometry: Geometry) -> None:
        # no file name and no time in it: the same labels give the same bytes
        self._raw = (folder / self.name).open("wb")
        self._file = gzip.GzipFile("", "wb", compresslevel=4, fileobj=self._raw, mtime=0)
        self._file.write(_header(shape, geometry))

    def add(self, labels: UInt8[np.ndarray, "h w"]) -> None:
        """Append a frame."""
        self._file.write(np.ascontiguousarray(labels).tobytes())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._raw.close()


def _header(shape: tuple[int, int, int], geometry: Geometry) -> bytes:
    """The 352 bytes before an uint8 stack of labels; free-text fields stay empty, as they hold names."""
    frames, rows, columns = shape
    data = bytearray(352)
    struct.pack_into("<i", data, 0, 348)
    struct.pack_into("<8h", data, 40, 3, columns, rows, frames, 1, 1, 1, 1)
    struct.pack_into("<2h", data, 70, _UINT8, 8)
    struct.pack_into("<4f", data, 76, *geometry.pixdim)
    struct.pack_into("<3f", data, 108, 352, 1, 0)
    struct.pack_into("<B", data, 123, geometry.units)
    struct.pack_into("<2h6f12f", data, 252, *geometry.codes, *geometry.quaternion, *geometry.affine)
    struct.pack_into("<4s", data, 344, b"n+1\0")
    return bytes(data)
