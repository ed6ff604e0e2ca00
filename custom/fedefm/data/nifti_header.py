"""The header of a NIfTI file, as far as a stack of frames needs it: where the pixels are, and how they lie in space.

Read by hand, so that the declared size is known before anything is unpacked, and so that one frame can be taken out:
SimpleITK reads single slices of a plain `.nii`, but decodes a `.nii.gz` whole for each.
Layout: https://nifti.nimh.nih.gov, nifti1.h and nifti2.h.
"""

import math
import struct
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from fedefm.errors import DataError

HEAD_BYTES = 544
_VECTORS = (1006, 1007)  # intents with which the fifth side counts the values of a pixel
_TO_MM = {1: 1000.0, 3: 0.001}  # xyzt_units: metres, microns; anything else is taken for millimetres
_LARGEST = 3e38  # of float32, which NIfTI-1 holds


@dataclass(frozen=True)
class Geometry:
    """How a stack lies in space: the fields of NIfTI-1, as they stand in a file.

    Attributes:
        pixdim: `pixdim[0:4]`: the sign of the third axis, and the spacing of columns, rows and frames.
        codes: `qform_code` and `sform_code`.
        quaternion: `quatern_b` to `qoffset_z`.
        affine: `srow_x`, `srow_y` and `srow_z`.
        units: `xyzt_units`.
    """

    pixdim: tuple[float, ...]
    codes: tuple[int, int]
    quaternion: tuple[float, ...]
    affine: tuple[float, ...]
    units: int

    @property
    def is_finite(self) -> bool:
        """Whether all its numbers mean something."""
        return all(abs(value) < _LARGEST for value in (*self.pixdim, *self.quaternion, *self.affine))  # false for NaN

    @property
    def matrix(self) -> Float64[np.ndarray, "4 4"] | None:
        """From (column, row, frame) to millimetres to the right, to the front and up; None where nothing is said.

        `sform` counts before `qform`, as in the standard; spacing alone says nothing of directions.
        """
        found = np.eye(4)
        if not self.is_finite or max(self.codes) <= 0:
            return None
        if self.codes[1] > 0:
            found[:3] = np.reshape(self.affine, (3, 4))
            return found
        b, c, d, *offset = self.quaternion
        a = math.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        sign = -1.0 if self.pixdim[0] < 0 else 1.0
        found[:3, :3] = turn * np.array([self.pixdim[1], self.pixdim[2], sign * self.pixdim[3]])
        found[:3, 3] = offset
        return found

    @property
    def is_stated(self) -> bool:
        """Whether it says more than what tools write that know nothing: axes of length 1 from the origin."""
        found = self.matrix
        return found is not None and not np.array_equal(np.abs(found), np.eye(4))

    @staticmethod
    def flat(spacing_mm: tuple[float, float] | None) -> "Geometry":
        """Frames of a run that lies nowhere in particular: the axes of a screen, 1 where the spacing is unknown."""
        row, column = spacing_mm or (1.0, 1.0)
        affine = (-column, 0, 0, 0, 0, -row, 0, 0, 0, 0, 1, 0)  # columns run to the left, rows to the back, as in DICOM
        return Geometry((1.0, column, row, 1.0), (0, 1), (0.0,) * 6, tuple(map(float, affine)), 2)


@dataclass(frozen=True)
class NiftiHeader:
    """What a reader needs to know.

    Attributes:
        order: byte order, `<` or `>`.
        version: 1 or 2.
        shape: frames, rows, columns.
        kind: of the numbers, NIfTI's `datatype`.
        bits: of one pixel.
        scale: slope and intercept, not checked.
        planes: values of a pixel that lie in as many stacks, one after the other; 1 for grey.
        offset: where the pixels start, in bytes.
        length: bytes of the file to the end of the pixels.
        pixel_mm: width and height of a pixel, not checked.
        geometry: how the stack lies in space, not checked.
    """

    order: Literal["<", ">"]
    version: int
    shape: tuple[int, int, int]
    kind: int
    bits: int
    scale: tuple[float, float]
    planes: int
    offset: int
    length: int
    pixel_mm: tuple[float, float]
    geometry: Geometry


def parse_header(name: str, head: bytes) -> NiftiHeader:
    """Read the first bytes of a file.

    Args:
        name: the file's name, for the message.
        head: at least `HEAD_BYTES` of it, or all.

    Raises:
        DataError: it is no header, of more than three dimensions, or its pixels start nowhere.
    """
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        size = struct.unpack(order + "i", head[:4])[0] if len(head) >= 352 else 0
        if size == 348:
            return _build(name, order, 1, head, _NIFTI_1)
        if size == 540 and len(head) >= HEAD_BYTES:
            return _build(name, order, 2, head, _NIFTI_2)
    raise DataError(f"cannot read {name}: truncated or not a NIFTI file; re-export it or remove it")


class _Layout(NamedTuple):
    """Where a version keeps its fields: the kinds of their numbers, and the first byte."""

    dims: str
    intent: str
    kind: str
    bits: str
    pixdim: str
    offset: str
    scale: str
    units: str
    codes: str
    quaternion: str
    affine: str


_NIFTI_1 = _Layout("8h@40", "h@68", "h@70", "h@72", "4f@76", "f@108", "2f@112", "B@123", "2h@252", "6f@256", "12f@280")
_NIFTI_2 = _Layout(
    "8q@16", "i@504", "h@12", "h@14", "4d@104", "q@168", "2d@176", "i@500", "2i@344", "6d@352", "12d@400"
)


def _build(name: str, order: Literal["<", ">"], version: int, head: bytes, layout: _Layout) -> NiftiHeader:
    count, *stated = _take(order, layout.dims, head)
    sides = [max(1, side) if k < count else 1 for k, side in enumerate(stated)]
    planes = sides[4] if _take(order, layout.intent, head)[0] in _VECTORS else 1
    if not 2 <= count <= 7 or math.prod(sides[3:]) > planes:
        raise DataError(f"{name} has {count} dimensions; save one 2-D image or one stack of frames a file")
    start = _take(order, layout.offset, head)[0]
    if not abs(start) < 1 << 40:  # NaN too
        raise DataError(f"cannot read {name}: its pixels start nowhere; re-export it or remove it")
    start = max(int(start), 348 if version == 1 else 540)  # many writers put 0; pixels never lie in the header
    bits, units = _take(order, layout.bits, head)[0], _take(order, layout.units, head)[0] & 0xFF
    pixdim, codes = _take(order, layout.pixdim, head), _take(order, layout.codes, head)
    quaternion, affine = _take(order, layout.quaternion, head), _take(order, layout.affine, head)
    mm = _TO_MM.get(units & 7, 1.0)
    return NiftiHeader(
        order=order,
        version=version,
        shape=(sides[2], sides[1], sides[0]),
        kind=_take(order, layout.kind, head)[0],
        bits=bits,
        scale=_take(order, layout.scale, head),
        planes=planes,
        offset=start,
        length=start + math.prod(sides) * bits // 8,
        pixel_mm=(mm * pixdim[1], mm * pixdim[2]),
        geometry=Geometry(pixdim, (codes[0], codes[1]), quaternion, affine, units),
    )


def _take(order: str, field: str, head: bytes) -> tuple:
    kind, place = field.split("@")
    return struct.unpack_from(order + kind, head, int(place))
