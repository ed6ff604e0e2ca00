"""A stack of frames as NIfTI-1, with nothing in it but pixels and geometry; the same pixels give the same bytes."""

import gzip
import struct

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from fedefm.data.nifti_header import Geometry

ENDING = ".nii.gz"
_KINDS = {np.dtype(kind): number for kind, number in ((np.uint8, 2), (np.int16, 4), (np.uint16, 512), (np.float32, 16))}
"""Types of pixels and NIfTI's numbers for them."""


def nifti_header(shape: tuple[int, int, int], geometry: Geometry, kind: "np.dtype[np.generic]") -> bytes:
    """The 352 bytes before the pixels; free-text fields stay empty, as they hold names.

    Args:
        shape: frames, rows, columns.
        geometry: of the stack.
        kind: uint8, int16, uint16 or float32.
    """
    frames, rows, columns = shape
    data = bytearray(352)
    struct.pack_into("<i", data, 0, 348)
    struct.pack_into("<8h", data, 40, 3, columns, rows, frames, 1, 1, 1, 1)
    struct.pack_into("<2h", data, 70, _KINDS[kind], 8 * kind.itemsize)
    struct.pack_into("<4f", data, 76, *geometry.pixdim)
    struct.pack_into("<3f", data, 108, 352, 1, 0)
    struct.pack_into("<B", data, 123, geometry.units)
    struct.pack_into("<2h6f12f", data, 252, *geometry.codes, *geometry.quaternion, *geometry.affine)
    struct.pack_into("<4s", data, 344, b"n+1\0")
    return bytes(data)


def nifti_bytes(frames: NDArray[np.generic], geometry: Geometry) -> bytes:
    """A packed file of (frames, rows, columns), of a type that `nifti_header` knows."""
    stack = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<"))
    shape = (stack.shape[0], stack.shape[1], stack.shape[2])
    return gzip.compress(nifti_header(shape, geometry, frames.dtype) + stack.tobytes(), compresslevel=4, mtime=0)


def smallest(frames: Float32[np.ndarray, "f h w"]) -> NDArray[np.generic]:
    """The same values in the smallest type that holds them all exactly."""
    for kind in (np.uint8, np.int16, np.uint16):
        limits = np.iinfo(kind)
        if frames.min() >= limits.min and frames.max() <= limits.max and (frames == np.trunc(frames)).all():
            return frames.astype(kind)
    return frames
