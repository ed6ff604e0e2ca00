"""The header of a NIfTI file, as far as a stack of frames needs it: where the pixels are, and how they lie in space.

SimpleITK reads single slices of a plain `.nii`, but decodes a `.nii.gz` whole for each, and writes whole stacks only.
Layout: https://nifti.nimh.nih.gov, nifti1.h and nifti2.h.
"""

import struct
from dataclasses import dataclass

from fedefm.errors import DataError

HEAD_BYTES = 544
MAX_FRAMES = 32767  # a side is 16 bits in NIfTI-1
_UINT8 = 2
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

    @staticmethod
    def flat(spacing_mm: float | None) -> "Geometry":
        """Frames of a run that lies nowhere in particular: the axes of a screen, 1 where the spacing is unknown."""
        side = spacing_mm or 1.0
        affine = (-side, 0, 0, 0, 0, -side, 0, 0, 0, 0, 1, 0)  # columns run to the left, rows to the back, as in DICOM
        return Geometry((1.0, side, side, 1.0), (0, 1), (0.0,) * 6, tuple(map(float, affine)), 2)


@dataclass(frozen=True)
class NiftiHeader:
    """What a reader of single frames needs.

    Attributes:
        order: byte order, `<` or `>`.
        version: 1 or 2.
        shape: frames, rows, columns.
        bits: of one pixel.
        offset: where the pixels start, in bytes.
        geometry: how the stack lies in space.
    """

    order: str
    version: int
    shape: tuple[int, int, int]
    bits: int
    offset: int
    geometry: Geometry


def parse_header(name: str, head: bytes) -> NiftiHeader:
    """Read the first bytes of a file.

    Args:
        name: the file's name, for the message.
        head: at least `HEAD_BYTES` of it, or all.

    Raises:
        DataError: it is no header, or of more than three dimensions.
    """
    for order in "<>":
        size = struct.unpack(order + "i", head[:4])[0] if len(head) >= 352 else 0
        if size == 348:
            return _build(name, order, 1, head, dims="8h@40", bits=72, offset="f@108", fields=_NIFTI_1)
        if size == 540 and len(head) >= HEAD_BYTES:
            return _build(name, order, 2, head, dims="8q@16", bits=14, offset="q@168", fields=_NIFTI_2)
    raise DataError(f"cannot read {name}: truncated or not a NIFTI file; re-export it or remove it")


def one_frame(head: bytes, header: NiftiHeader, frame: bytes) -> bytes:
    """A file of its own with one frame of a stack."""
    place, kind, start = (40, "h", 352) if header.version == 1 else (16, "q", HEAD_BYTES)
    _, rows, columns = header.shape
    data = bytearray(head[:start].ljust(start, b"\0"))
    struct.pack_into(header.order + "8" + kind, data, place, 3, columns, rows, 1, 1, 1, 1, 1)
    struct.pack_into(
        header.order + ("f" if header.version == 1 else "q"), data, 108 if header.version == 1 else 168, start
    )
    data[start - 4 :] = bytes(4)  # no extensions: they may hold anything
    return bytes(data) + frame


def label_header(shape: tuple[int, int, int], geometry: Geometry) -> bytes:
    """The 352 bytes before an uint8 stack of labels; free-text fields stay empty, as they hold names.

    Args:
        shape: frames, rows, columns.
        geometry: of the source.
    """
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


_NIFTI_1 = ("4f@76", "2h@252", "6f@256", "12f@280", "B@123")
_NIFTI_2 = ("4d@104", "2i@344", "6d@352", "12d@400", "i@500")


def _build(
    name: str, order: str, version: int, head: bytes, *, dims: str, bits: int, offset: str, fields: tuple[str, ...]
) -> NiftiHeader:
    sides = _take(order, dims, head)
    count = sides[0]
    if not 2 <= count <= 7 or any(side > 1 for side in sides[4 : 1 + count]):
        raise DataError(f"{name} has {count} dimensions; save one 2-D image or one stack of frames a file")
    pixdim, codes, quaternion, affine, units = (_take(order, field, head) for field in fields)
    if not all(abs(value) < _LARGEST for value in (*pixdim, *quaternion, *affine)):  # NaN too
        raise DataError(f"cannot read {name}: it lies nowhere in space; re-export it or remove it")
    start = _take(order, offset, head)[0]
    if not 0 <= start < 1 << 40:  # NaN too
        raise DataError(f"cannot read {name}: its pixels start nowhere; re-export it or remove it")
    return NiftiHeader(
        order,
        version,
        (max(1, sides[3]) if count > 2 else 1, sides[2], sides[1]),
        struct.unpack_from(order + "h", head, bits)[0],
        int(start),
        Geometry(pixdim, (codes[0], codes[1]), quaternion, affine, units[0] & 0xFF),
    )


def _take(order: str, field: str, head: bytes) -> tuple:
    kind, place = field.split("@")
    return struct.unpack_from(order + kind, head, int(place))
