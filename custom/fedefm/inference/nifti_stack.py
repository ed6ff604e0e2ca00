"""Label maps as one NIfTI stack, written frame by frame."""

import gzip
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fedefm.data.nifti_file import nifti_header
from fedefm.data.nifti_header import Geometry

MAX_FRAMES = 32767  # a side is 16 bits in NIfTI-1


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
        self._file.write(nifti_header(shape, geometry, np.dtype(np.uint8)))

    def add(self, labels: UInt8[np.ndarray, "h w"]) -> None:
        """Append a frame."""
        self._file.write(np.ascontiguousarray(labels).tobytes())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._raw.close()
