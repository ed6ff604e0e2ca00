"""The header of a DICOM file, read before anything is decoded.

SimpleITK hides what is needed to read angiography safely: the transfer syntax, nested sequences (which segment a frame
of a SEG belongs to) and the bytes there really are. It also allocates by what a file declares, and decodes a truncated
stream for seconds before it gives up. So the elements are walked here, by DICOM PS3.5 chapter 7, with each length held
against the file's end; the pixels are left to SimpleITK. It is written by hand because the bytes may be hostile: no
length is believed before it is compared with the file, and what is refused stands here to be read.
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import DataError

# tag to raw value, or to the items of a sequence (a list of data sets)
Dataset = dict[int, Any]

SOP_CLASS = 0x0008_0016
SOP_INSTANCE = 0x0008_0018
REFERENCED_SERIES = 0x0008_1115
REFERENCED_INSTANCES = 0x0008_114A
REFERENCED_INSTANCE = 0x0008_1155
REFERENCED_FRAME = 0x0008_1160
SOURCE_IMAGES = 0x0008_2112
DERIVATION = 0x0008_9124
IMAGER_SPACING = 0x0018_1164
CALIBRATION = 0x0018_9401
OBJECT_SPACING = 0x0018_9404
SERIES = 0x0020_000E
INSTANCE_NUMBER = 0x0020_0013
SAMPLES = 0x0028_0002
PHOTOMETRIC = 0x0028_0004
PLANAR = 0x0028_0006
FRAMES = 0x0028_0008
ROWS = 0x0028_0010
COLUMNS = 0x0028_0011
PIXEL_SPACING = 0x0028_0030
BITS_ALLOCATED = 0x0028_0100
BITS_STORED = 0x0028_0101
HIGH_BIT = 0x0028_0102
SIGNED = 0x0028_0103
PADDING = 0x0028_0120
PADDING_LIMIT = 0x0028_0121
INTERCEPT = 0x0028_1052
SLOPE = 0x0028_1053
PALETTE = ((0x0028_1101, 0x0028_1201), (0x0028_1102, 0x0028_1202), (0x0028_1103, 0x0028_1203))
LOSSY = 0x0028_2110
MODALITY_LUT = 0x0028_3000
LUT_DESCRIPTOR = 0x0028_3002
LUT_DATA = 0x0028_3006
PIXEL_MEASURES = 0x0028_9110
VALUE_TRANSFORMATION = 0x0028_9145
FRAME_PIXELS = 0x0028_9443
SEGMENTATION_TYPE = 0x0062_0001
SEGMENTS = 0x0062_0002
SEGMENT_OF_FRAME = 0x0062_000A
SEGMENT_NUMBER = 0x0062_000B
SHARED = 0x5200_9229
PER_FRAME = 0x5200_9230
PIXELS = 0x7FE0_0010

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # the second holds label maps
_SYNTAX = 0x0002_0010
EXPLICIT = "1.2.840.10008.1.2.1"
_IMPLICIT = "1.2.840.10008.1.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
_COMMA = re.compile(r"^([+-]?[0-9]*),([0-9]+)$")  # as some countries write a fraction
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\..*)?")  # MPEG-2, MPEG-4, HEVC
_FLOAT_PIXELS = (0x7FE0_0008, 0x7FE0_0009)
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
# In implicit VR nothing marks a sequence of defined length; these are the ones that matter here.
_SEQUENCES = frozenset(
    {SEGMENTS, SEGMENT_OF_FRAME, SHARED, PER_FRAME, DERIVATION, SOURCE_IMAGES, REFERENCED_SERIES, REFERENCED_INSTANCES}
    | {CALIBRATION, PIXEL_MEASURES, VALUE_TRANSFORMATION, FRAME_PIXELS, MODALITY_LUT}
)
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_MAX_VALUE = 1 << 17  # longer values (curves, private data) are stepped over; a look-up table is not
_MAX_DEPTH = 16
_MAX_ELEMENTS = 1_000_000


@dataclass(frozen=True)
class Header:
    """What a DICOM file says about its pixels.

    Attributes:
        syntax: transfer syntax UID.
        values: tag to raw value, or to the items of a sequence; without pixels and long values.
        spans: tag to (start, end) of each top-level element in the file, in bytes.
        value_starts: tag to where the value of the top-level element starts.
        fragments: (start, end) of each fragment of encapsulated pixels; empty where they are not encapsulated.
        big_endian: byte order of the values.
    """

    syntax: str
    values: Mapping[int, Any]
    spans: Mapping[int, tuple[int, int]]
    value_starts: Mapping[int, int]
    fragments: tuple[tuple[int, int], ...]
    big_endian: bool

    def text(self, tag: int, values: Mapping[int, Any] | None = None) -> str:
        """A value as text without padding, at the top or of an item; empty where it is absent."""
        value = (self.values if values is None else values).get(tag, b"")
        return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""

    def whole(self, tag: int, default: int = 0, values: Mapping[int, Any] | None = None) -> int:
        """An unsigned 16-bit value."""
        return next(iter(self.wholes(tag, values)), default)

    def wholes(self, tag: int, values: Mapping[int, Any] | None = None) -> tuple[int, ...]:
        """Unsigned 16-bit values; empty where they are absent."""
        value = (self.values if values is None else values).get(tag, b"")
        if not isinstance(value, bytes):
            return ()
        count = len(value) // 2
        return struct.unpack_from(f"{'>' if self.big_endian else '<'}{count}H", value)

    def numbers(self, tag: int, values: Mapping[int, Any] | None = None) -> tuple[float, ...]:
        """A decimal string (several numbers between backslashes); empty where it is absent or no number."""
        try:
            parts = self.text(tag, values).split("\\")
            return tuple(float(_COMMA.sub(r"\1.\2", part.strip())) for part in parts if part.strip())
        except ValueError:
            return ()

    def items(self, tag: int, values: Mapping[int, Any] | None = None) -> list[Dataset]:
        """The items of a sequence, at the top or within an item."""
        value = (self.values if values is None else values).get(tag, [])
        return value if isinstance(value, list) else []

    @property
    def stated_frames(self) -> int | None:
        """Number of frames; None where it is absent or 0, which some writers put for one image."""
        stated = self.text(FRAMES)
        return int(stated) or None if re.fullmatch(r"[0-9]{1,9}", stated) else None

    @property
    def is_encapsulated(self) -> bool:
        """Whether the transfer syntax is one of compressed pixels."""
        return self.syntax not in ("", _IMPLICIT, EXPLICIT, _BIG_ENDIAN)

    @property
    def pixel_span(self) -> tuple[int, int]:
        """Where the value of the pixel data starts and ends in the file, in bytes."""
        return self.value_starts[PIXELS], self.spans[PIXELS][1]

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        bits = self.whole(ROWS) * self.whole(COLUMNS) * self.whole(SAMPLES, 1) * self.whole(BITS_ALLOCATED, 8)
        return bits * 2 // 3 if self.text(PHOTOMETRIC) == "YBR_FULL_422" else bits  # two pixels share their colour


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file, with or without a preamble and file meta information.

    Raises:
        DataError: where an element runs past the end of the file, there are no pixels, or they are of a kind that is
            not read.
        OSError: where the file cannot be opened.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).header()
    except (_TruncatedError, ValueError) as error:  # an empty file cannot be mapped
        raise DataError(f"cannot read {path.name}: truncated or not a DICOM file; re-export it or remove it") from error
    except DataError as error:
        raise DataError(f"cannot read {path.name}: {error}") from error


def first_element(head: bytes) -> int | None:
    """Where the elements of a DICOM file begin; None where these are not the first bytes of one.

    Old exports have neither the preamble nor the letters `DICM`: then the first two elements must look like those of a
    data set.
    """
    for start in (128, 0):
        if head[start : start + 4] == b"DICM":
            return start + 4
    for order in "<>":
        first = _plausible(head, 0, order)
        if first is not None and first[0] in (2, 8) and (second := _plausible(head, first[1], order)) is not None:
            return 0 if first[0] <= second[0] <= 0x10 else None
    return None


def _plausible(head: bytes, position: int, order: str) -> tuple[int, int] | None:
    """Group and end of what may be an element."""
    if position + 8 > len(head):
        return None
    group, number = struct.unpack_from(order + "HH", head, position)
    kind = head[position + 4 : position + 6]
    if kind in _SHORT:
        length, start = struct.unpack_from(order + "H", head, position + 6)[0], 8
    elif kind in _LONG and position + 12 <= len(head):
        length, start = struct.unpack_from(order + "I", head, position + 8)[0], 12
    else:
        length, start = struct.unpack_from(order + "I", head, position + 4)[0], 8
    return (group, position + start + length) if number < 0x2000 and length < 1 << 16 else None


class _TruncatedError(Exception):
    """An element does not end where it should."""


class _Walk:
    """One pass over the elements of a file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._order = "<"
        self._explicit = True
        self._count = 0
        self._fragments: tuple[tuple[int, int], ...] = ()

    def header(self) -> Header:
        spans: dict[int, tuple[int, int]] = {}
        starts: dict[int, int] = {}
        values: Dataset = {}
        start, in_meta = first_element(self._data[:352]), True
        position = 132 if start is None else start
        while position < len(self._data) and PIXELS not in values:
            if in_meta and self._unpack("H", position) != 2:  # after group 2 the stated syntax begins
                in_meta = False
                self._switch_syntax(self._text(values, _SYNTAX), position)
            tag, value, starts[tag], end = self._element(position, 0)
            spans[tag], values[tag] = (position, end), value
            position = end
        if PIXELS not in values:
            raise DataError(_without_pixels(values))
        return Header(self._text(values, _SYNTAX), values, spans, starts, self._fragments, self._order == ">")

    def _switch_syntax(self, syntax: str, position: int) -> None:
        """By what is stated, unless the first element of the data set plainly is of another kind."""
        if syntax == _DEFLATED:
            raise DataError("deflated DICOM is not supported; re-export it uncompressed")
        if _VIDEO.fullmatch(syntax):
            raise DataError("it holds a video (MPEG); re-export it as single frames or as an uncompressed cine")
        kind, group = self._data[position + 4 : position + 6], self._data[position : position + 2]
        self._order = ">" if group[:1] == b"\0" and group != b"\0\0" else "<"
        self._explicit = kind in _SHORT or kind in _LONG

    def _element(self, position: int, depth: int) -> tuple[int, Any, int, int]:
        """Tag, value, start of the value and end of the element at a position."""
        self._count += 1
        if self._count > _MAX_ELEMENTS or depth > _MAX_DEPTH:
            raise DataError("too many or too deeply nested elements; re-export it")
        tag = self._tag(position)
        kind, length, start = self._length(position)
        if tag == PIXELS and length == _UNDEFINED:
            fragments, end = self._encapsulated(start)
            self._fragments = self._fragments if depth else fragments  # an icon has pixels of its own
            return tag, b"", start, end
        if length == _UNDEFINED or kind == b"SQ" or (tag in _SEQUENCES and (not self._explicit or kind == b"UN")):
            items, end = self._sequence(start, length, depth + 1, implicit=kind == b"UN")
            return tag, items, start, end
        end = start + length
        if end > len(self._data):
            raise _TruncatedError
        return tag, self._data[start:end] if length <= _MAX_VALUE and tag != PIXELS else b"", start, end

    def _sequence(self, start: int, length: int, depth: int, *, implicit: bool) -> tuple[list[Dataset], int]:
        explicit, self._explicit = self._explicit, self._explicit and not implicit
        end = len(self._data) if length == _UNDEFINED else start + length
        items, position = [], start
        while position < end:
            tag, size = self._tag(position), self._unpack("I", position + 4)
            position += 8
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise _TruncatedError
            item, position = self._item(position, size, depth)
            items.append(item)
        self._explicit = explicit
        if position > len(self._data):
            raise _TruncatedError
        return items, position

    def _item(self, position: int, size: int, depth: int) -> tuple[Dataset, int]:
        end = len(self._data) if size == _UNDEFINED else position + size
        item: Dataset = {}
        while position < end:
            if self._tag(position) == _ITEM_END:
                return item, position + 8
            tag, item_value, _, position = self._element(position, depth)
            item[tag] = item_value
        return item, position

    def _encapsulated(self, position: int) -> tuple[tuple[tuple[int, int], ...], int]:
        """The fragments after the offset table, and the end of the element."""
        found: list[tuple[int, int]] = []
        while position + 8 <= len(self._data):
            tag, size = self._tag(position), self._unpack("I", position + 4)
            position += 8
            if tag == _SEQUENCE_END:
                return tuple(found[1:]), position
            if tag != _ITEM or position + size > len(self._data):
                break
            found.append((position, position + size))
            position += size
        raise _TruncatedError

    def _length(self, position: int) -> tuple[bytes, int, int]:
        """Value representation (empty if implicit), length of the value and where it starts."""
        if not self._explicit:
            return b"", self._unpack("I", position + 4), position + 8
        kind = self._data[position + 4 : position + 6]
        if kind in _LONG:
            return kind, self._unpack("I", position + 8), position + 12
        return kind, self._unpack("H", position + 6), position + 8

    def _tag(self, position: int) -> int:
        return self._unpack("H", position) << 16 | self._unpack("H", position + 2)

    def _unpack(self, kind: str, position: int) -> int:
        try:
            return int(struct.unpack_from(self._order + kind, self._data, position)[0])
        except struct.error as error:
            raise _TruncatedError from error

    @staticmethod
    def _text(values: Dataset, tag: int) -> str:
        value = values.get(tag, b"")
        return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""


def _without_pixels(values: Dataset) -> str:
    if any(tag in values for tag in _FLOAT_PIXELS):
        return "it holds pixels of floating point, which are not read; re-export it with whole numbers"
    return "it holds no image, or is truncated; re-export it or remove it"
