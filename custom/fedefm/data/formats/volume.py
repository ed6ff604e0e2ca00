"""Volumes of one text header and pixels that follow it: NRRD (3D Slicer) and MetaImage (ITK)."""

import bz2
import math
import re
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader, Spacing
from fedefm.data.nifti_header import Geometry
from fedefm.errors import DataError

_HEAD = 1 << 16  # bytes in which a header must end
_CHUNK = 1 << 20
_Vectors = Sequence[Sequence[float]]
_Unpacker: TypeAlias = "bz2.BZ2Decompressor | zlib._Decompress"


@dataclass(frozen=True)
class Volume:
    """What a header says.

    Attributes:
        sizes: columns, rows, and frames where there are any.
        kind: of the numbers, as numpy names it, with byte order.
        samples: values a pixel.
        start: where the pixels begin, in bytes.
        packing: `raw`, `zlib`, `gzip` or `bz2`.
        axes: steps of columns, rows and frames in millimetres to the left, back and up; None where it does not say.
        origin: the place of the first pixel, likewise.
        sides: spacing of columns and rows in millimetres where it says so.
    """

    sizes: tuple[int, ...]
    kind: str
    samples: int
    start: int
    packing: str
    axes: _Vectors | None
    origin: Sequence[float]
    sides: Sequence[float] | None


class _VolumeReader(Reader):
    """A file with such a header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(_HEAD)
        try:
            self._volume = self._parse(head)
        except (ValueError, KeyError, IndexError) as error:
            raise DataError(
                f"cannot read {path.name}: its {self.format} header is damaged ({type(error).__name__}); re-export it"
            ) from error
        sizes = self._volume.sizes
        if not 2 <= len(sizes) <= 3:
            raise DataError(
                f"{path.name} has {len(sizes)} dimensions; save one 2-D image or one stack of frames a file"
            )
        if self._volume.samples not in (1, 3, 4):
            raise DataError(f"{path.name} has {self._volume.samples} values a pixel; save it as grey or RGB")
        self.shape = (sizes[2] if len(sizes) == 3 else 1, sizes[1], sizes[0])
        self.spacing_mm = _spacing(self._volume.sides)

    @abstractmethod
    def _parse(self, head: bytes) -> Volume:
        """The header; a KeyError, IndexError or ValueError where it is damaged."""

    @property
    def lies(self) -> Geometry | None:
        """By its directions."""
        volume = self._volume
        if volume.axes is None or len(volume.axes) != len(volume.sizes) or not all(len(a) == 3 for a in volume.axes):
            return None
        columns = [*volume.axes, (0.0, 0.0, 1.0)][:3]
        to_ras = (-1.0, -1.0, 1.0)
        rows = [[to_ras[k] * axis[k] for axis in columns] + [to_ras[k] * volume.origin[k]] for k in range(3)]
        sides = [math.sqrt(sum(x * x for x in axis)) for axis in columns]
        return Geometry((1.0, *sides), (0, 1), (0.0,) * 6, tuple(value for row in rows for value in row), 2)

    def geometry(self) -> Geometry:
        """The same, or that of a screen."""
        found = self.lies
        if found is not None and not found.is_finite:
            raise DataError(f"cannot read {self.path.name}: it lies nowhere in space; re-export it or remove it")
        return found or super().geometry()

    def check_whole(self) -> None:
        """The pixels are counted when they are unpacked."""

    def image(self) -> ImageFrames:
        """All frames."""
        return picture(self._pixels(), self.format, self.spacing_mm)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers."""
        return to_labels(self._pixels(), self.path.name)

    def _pixels(self) -> NDArray[np.generic]:
        volume, kind = self._volume, np.dtype(self._volume.kind)
        wanted = math.prod(self.shape) * volume.samples * kind.itemsize
        data = self._unpacked(wanted)
        if len(data) < wanted:
            raise DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")
        pixels = np.frombuffer(data, kind, wanted // kind.itemsize).reshape(*self.shape, volume.samples)
        native: NDArray[np.generic] = pixels.astype(kind.newbyteorder("="))
        return native[..., 0] if volume.samples == 1 else native

    def _unpacked(self, wanted: int) -> bytes:
        """So many bytes of pixels and no more; fewer where the file ends."""
        unpack: dict[str, Callable[[], _Unpacker]] = {
            "zlib": zlib.decompressobj,
            "gzip": lambda: zlib.decompressobj(31),
            "bz2": bz2.BZ2Decompressor,
        }
        with self.path.open("rb") as file:
            file.seek(self._volume.start)
            if self._volume.packing == "raw":
                return file.read(wanted)
            tool, found = unpack[self._volume.packing](), bytearray()
            try:
                while len(found) < wanted and not tool.eof and (piece := file.read(_CHUNK)):
                    found += tool.decompress(piece, wanted - len(found))
                    while len(found) < wanted and not tool.eof and (rest := _rest(tool)) is not None:
                        found += tool.decompress(rest, wanted - len(found))
            except (OSError, zlib.error, EOFError) as error:
                raise DataError(f"cannot read {self.path.name}: its packed pixels are damaged; re-export it") from error
        return bytes(found)


def _rest(tool: _Unpacker) -> bytes | None:
    """What a decompressor still holds back; None where it wants more of the file."""
    if isinstance(tool, bz2.BZ2Decompressor):
        return None if tool.needs_input else b""
    return tool.unconsumed_tail or None


class Nrrd(_VolumeReader):
    """A NRRD file with its pixels in it; 3D Slicer writes its segmentations so."""

    format = "NRRD"
    endings = (".nrrd", ".seg.nrrd")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its magic."""
        return head.startswith(b"NRRD000")

    def _parse(self, head: bytes) -> Volume:
        ends = [(at, len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if (at := head.find(mark)) >= 0]
        end, length = min(ends)
        fields = dict(re.findall(r"^([^#:\n]+):\s*([^\n]*?)\s*$", head[:end].decode("latin-1").replace("\r", ""), re.M))
        fields = {key.strip().lower(): value for key, value in fields.items()}
        if "data file" in fields or "datafile" in fields:
            raise DataError(f"{self.path.name}: its pixels lie in another file; save it as one .nrrd file")
        sizes = tuple(int(size) for size in fields["sizes"].split())
        axes = _vectors(fields.get("space directions", ""))
        sides = [float(side) for side in re.findall(r"[-+.\w]+", fields.get("spacings", ""))] or None
        samples = 1
        first_kind = next(iter(fields.get("kinds", "").split()), "")
        if len(sizes) > 2 and ((axes and axes[0] is None) or first_kind in _NRRD_SAMPLES):
            samples, sizes = sizes[0], sizes[1:]
            axes, sides = axes[1:] if axes else axes, sides[1:] if sides else sides
        if samples > 1 and self.path.name.lower().endswith(".seg.nrrd"):
            raise DataError(f"{self.path.name}: its segments overlap, in {samples} layers; export one label map")
        kind = _NRRD_KINDS[fields["type"].lower()]
        order = ">" if fields.get("endian", "little").lower() == "big" else "<"
        signs = _NRRD_SPACES.get(fields.get("space", "").lower())
        known = [axis for axis in axes or () if axis is not None]
        placed = signs is not None and len(known) == len(sizes)
        origin = next(iter(_vectors(fields.get("space origin", "")) or []), None) or (0.0, 0.0, 0.0)
        return Volume(
            sizes=sizes,
            kind=order + kind,
            samples=samples,
            start=end + length + int(fields.get("byte skip", "0")),
            packing=_NRRD_PACKING[fields["encoding"].lower()],
            axes=[[s * x for s, x in zip(signs or (), axis, strict=True)] for axis in known] if placed else None,
            origin=[s * x for s, x in zip(signs or (), origin, strict=True)] if placed else origin,
            sides=[math.sqrt(sum(x * x for x in axis)) for axis in known] if known else sides,
        )


class MetaImage(_VolumeReader):
    """A MetaImage file with its pixels in it."""

    format = "MetaImage"
    endings = (".mha",)

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its first field."""
        return head.lstrip().startswith((b"ObjectType", b"NDims"))

    def _parse(self, head: bytes) -> Volume:
        found = re.search(rb"^ElementDataFile[ \t]*=[ \t]*(\S+)[ \t]*\r?\n", head, re.MULTILINE)
        if found is None:
            raise ValueError("no pixels")
        if found[1] != b"LOCAL":
            raise DataError(f"{self.path.name}: its pixels lie in another file; save it as one .mha file")
        text = head[: found.start()].decode("latin-1")
        fields = {key.strip(): value.strip() for key, value in re.findall(r"^([^=\n]+)=([^\n]*)$", text, re.MULTILINE)}
        sizes = tuple(int(size) for size in fields["DimSize"].split())
        count = len(sizes)
        order = ">" if _is_true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
        matrix = _floats(fields, "TransformMatrix", "Rotation", "Orientation")
        sides = _floats(fields, "ElementSpacing", "ElementSize")
        origin = _floats(fields, "Offset", "Origin", "Position") or [0.0] * count
        axes = None
        if matrix is not None and len(matrix) == count * count and count in (2, 3) and len(origin) == count:
            lengths = sides or [1.0] * count
            axes = [
                [lengths[k] * x for x in matrix[k * count : (k + 1) * count]] + [0.0] * (3 - count)
                for k in range(count)
            ]
        return Volume(
            sizes=sizes,
            kind=order + _META_KINDS[fields["ElementType"]],
            samples=int(fields.get("ElementNumberOfChannels", "1")),
            start=found.end(),
            packing="zlib" if _is_true(fields, "CompressedData") else "raw",
            axes=axes,
            origin=[*origin, 0.0][:3],
            sides=sides,
        )


_NRRD_SAMPLES = ("vector", "RGB-color", "RGBA-color", "3-color", "4-color", "list")
_NRRD_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
}
_NRRD_PACKING = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bz2", "bz2": "bz2"}
_NRRD_KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_META_KINDS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


def _vectors(text: str) -> list[tuple[float, ...] | None] | None:
    """`(1,0,0) none (0,1,0)`; None where there is nothing."""
    found = re.findall(r"\(([^)]*)\)|\b(none)\b", text)
    return [None if none else tuple(float(x) for x in inner.split(",")) for inner, none in found] or None


def _floats(fields: Mapping[str, str], *names: str) -> list[float] | None:
    return next(([float(x) for x in fields[name].split()] for name in names if name in fields), None)


def _is_true(fields: Mapping[str, str], *names: str) -> bool:
    return any(fields.get(name, "").lower() == "true" for name in names)


def _spacing(sides: Sequence[float] | None) -> Spacing | None:
    """1 exactly is what writers put that know nothing."""
    if sides is None or len(sides) < 2 or sides[0] == sides[1] == 1:
        return None
    return (sides[1], sides[0]) if all(0 < side < math.inf for side in sides[:2]) else None
