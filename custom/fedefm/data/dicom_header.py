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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import DataError

# tag to raw value, or to the items of a sequence (a list of data sets)
Dataset = dict[int, Any]

SOP_CLASS = 0x0008_0016
SOP_INSTANCE = 0x0008_0018
IMAGER_SPACING = 0x0018_1164
SERIES = 0x0020_000E
INSTANCE_NUMBER = 0x0020_0013
SAMPLES = 0x0028_0002
PHOTOMETRIC = 0x0028_0004
FRAMES = 0x0028_0008
ROWS = 0x0028_0010
COLUMNS = 0x0028_0011
PIXEL_SPACING = 0x0028_0030
BITS_ALLOCATED = 0x0028_0100
BITS_STORED = 0x0028_0101
SIGNED = 0x0028_0103
PADDING = 0x0028_0120
INTERCEPT = 0x0028_1052
SLOPE = 0x0028_1053
SEGMENTATION_TYPE = 0x0062_0001
SEGMENTS = 0x0062_0002
SEGMENT_OF_FRAME = 0x0062_000A
SEGMENT_NUMBER = 0x0062_000B
PER_FRAME = 0x5200_9230
PIXELS = 0x7FE0_0010

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
_SYNTAX = 0x0002_0010
_IMPLICIT = "1.2.840.10008.1.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
# In implicit VR nothing marks a sequence of defined length; these are the ones that matter here.
_SEQUENCES = frozenset({SEGMENTS, SEGMENT_OF_FRAME, PER_FRAME})
_MAX_VALUE = 1 << 16  # longer values (curves, look-up tables, private data) are stepped over
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

    def text(self, tag: int) -> str:
        """A value as text without padding; empty where it is absent."""
        value = self.values.get(tag, b"")
        return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""

    def whole(self, tag: int, default: int = 0, values: Mapping[int, Any] | None = None) -> int:
        """An unsigned 16-bit value."""
        value = (self.values if values is None else values).get(tag, b"")
        if not isinstance(value, bytes) or len(value) < 2:
            return default
        return int(struct.unpack(">H" if self.big_endian else "<H", value[:2])[0])

    def numbers(self, tag: int) -> tuple[float, ...]:
        """A decimal string (several numbers between backslashes); empty where it is absent or no number."""
        try:
            return tuple(float(part) for part in self.text(tag).split("\\") if part.strip())
        except ValueError:
            return ()

    def items(self, tag: int) -> list[Dataset]:
        """The items of a top-level sequence."""
        value = self.values.get(tag, [])
        return value if isinstance(value, list) else []

    @property
    def frames(self) -> int:
        """Number of frames, 1 where it is not stated."""
        stated = self.text(FRAMES)
        return int(stated) if re.fullmatch(r"[0-9]{1,9}", stated) else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns as declared."""
        return self.frames, self.whole(ROWS), self.whole(COLUMNS)

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        return self.whole(ROWS) * self.whole(COLUMNS) * self.whole(SAMPLES, 1) * self.whole(BITS_ALLOCATED, 8)


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file (Part 10, with `DICM` at byte 128).

    Raises:
        DataError: where an element runs past the end of the file, there are no pixels, or the file is deflated.
        OSError: where the file cannot be opened.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).header()
    except (_TruncatedError, ValueError) as error:  # an empty file cannot be mapped
        raise DataError(f"cannot read {path.name}: truncated or not a DICOM file; re-export it or remove it") from error
    except DataError as error:
        raise DataError(f"cannot read {path.name}: {error}") from error


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
        position, in_meta = 132, True
        while position < len(self._data) and PIXELS not in values:
            if in_meta and self._unpack("H", position) != 2:  # after group 2 the stated syntax begins
                in_meta = False
                self._switch_syntax(self._text(values, _SYNTAX))
            tag, value, starts[tag], end = self._element(position, 0)
            spans[tag], values[tag] = (position, end), value
            position = end
        if PIXELS not in values:
            raise DataError("it holds no image, or is truncated; re-export it or remove it")
        return Header(self._text(values, _SYNTAX), values, spans, starts, self._fragments, self._order == ">")

    def _switch_syntax(self, syntax: str) -> None:
        if syntax == _DEFLATED:
            raise DataError("deflated DICOM is not supported; re-export it uncompressed")
        self._explicit = syntax != _IMPLICIT
        self._order = ">" if syntax == _BIG_ENDIAN else "<"

    def _element(self, position: int, depth: int) -> tuple[int, Any, int, int]:
        """Tag, value, start of the value and end of the element at a position."""
        self._count += 1
        if self._count > _MAX_ELEMENTS or depth > _MAX_DEPTH:
            raise DataError("too many or too deeply nested elements; re-export it")
        tag = self._tag(position)
        kind, length, start = self._length(position)
        if tag == PIXELS and length == _UNDEFINED:
            self._fragments, end = self._encapsulated(start)
            return tag, b"", start, end
        if length == _UNDEFINED or kind == b"SQ" or (not self._explicit and tag in _SEQUENCES):
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


def fragment_heads(path: Path, header: Header) -> Iterator[bytes]:
    """The first bytes of each fragment that starts a compressed stream of its own."""
    with path.open("rb") as file:
        for start, end in header.fragments:
            file.seek(start)
            yield file.read(min(end - start, 4096))
