"""The directories of a TIFF file (TIFF 6.0 and BigTIFF): which pages there are, and what each says of its pixels.

Written by hand: a picture library takes thumbnails for frames, turns a palette into colours, and prints what it thinks
of the rest. EXIF data of a photograph has the same layout.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fedefm.errors import DataError

SUBFILE, COLUMNS, ROWS, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 254, 256, 257, 258, 259, 262, 270
STRIPS, ORIENTATION, SAMPLES, STRIP_BYTES, PLANAR, TILES, TILE_BYTES = 273, 274, 277, 279, 284, 324, 325
FILL_ORDER, STRIP_ROWS, PREDICTOR, COLOUR_MAP, TILE_COLUMNS, TILE_ROWS, FORMAT = 266, 278, 317, 320, 322, 323, 339
JPEG_KINDS = (6, 7)

_SIZES: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST_PAGES, _MOST_ENTRIES, _MOST_VALUES = 1 << 16, 1 << 12, 1 << 22


@dataclass(frozen=True)
class Page:
    """One directory.

    Attributes:
        numbers: whole numbers by tag; others are left out.
        places: tag to where the first of its values stands in the file, in bytes.
        description: text of the page.
        link: where the place of the next directory stands in the file.
        start: where this directory begins.
    """

    numbers: Mapping[int, tuple[int, ...]]
    places: Mapping[int, int]
    description: str
    link: int
    start: int

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return next(iter(self.numbers.get(tag, ())), default)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.number(ROWS, 0), self.number(COLUMNS, 0)

    @property
    def layout(self) -> tuple[int, ...]:
        """What pages that are frames of one stack have in common."""
        return (*self.size, self.number(BITS, 1), self.number(SAMPLES, 1), self.orientation)

    @property
    def orientation(self) -> int:
        """Which corner the first pixel belongs into, from 1 (top left) to 8."""
        found = self.number(ORIENTATION, 1)
        return found if 1 <= found <= 8 else 1

    @property
    def is_thumbnail(self) -> bool:
        """Whether it is a smaller version of another page, or says where that is transparent."""
        return bool(self.number(SUBFILE, 0) & 0b101)

    def is_within(self, length: int) -> bool:
        """Whether its pixels end within so many bytes."""
        for where, counts in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
            pairs = zip(self.numbers.get(where, ()), self.numbers.get(counts, ()), strict=False)
            if any(start + count > length for start, count in pairs):
                return False
        return True


class Layout:
    """How numbers and places are written in a file.

    Raises:
        ValueError: these are not the first bytes of a TIFF file.
    """

    def __init__(self, head: bytes) -> None:
        if head[:2] not in (b"II", b"MM") or len(head) < 8:
            raise ValueError("no byte order")
        self.order = "<" if head[:2] == b"II" else ">"
        version = struct.unpack_from(self.order + "H", head, 2)[0]
        self.big = version == 43
        if version not in (42, 43) or (self.big and len(head) < 16):
            raise ValueError("no version")
        self.place = "Q" if self.big else "I"
        self.first_link = 8 if self.big else 4

    def pack(self, place: int) -> bytes:
        """A place as it is written."""
        return struct.pack(self.order + self.place, place)


def read_pages(name: str, data: bytes) -> tuple[Layout, list[Page]]:
    """The directories of a file, in their order.

    Args:
        name: for messages.
        data: the whole file, or its EXIF part.

    Raises:
        DataError: a directory lies beyond the end, or there are too many or none.
    """
    try:
        layout = Layout(data[:16])
        return layout, list(_pages(name, data, layout))
    except (ValueError, struct.error) as error:
        raise DataError(f"cannot read {name}: truncated or not a TIFF file; re-export it or remove it") from error


def linked(layout: Layout, pages: Sequence[Page]) -> list[tuple[int, bytes]]:
    """What to write where in a file so that it holds these pages alone."""
    links = [layout.first_link, *(page.link for page in pages)]
    return [(link, layout.pack(start)) for link, start in zip(links, [*(page.start for page in pages), 0], strict=True)]


def _pages(name: str, data: bytes, layout: Layout) -> Iterator[Page]:
    seen: set[int] = set()
    start = int(struct.unpack_from(layout.order + layout.place, data, layout.first_link)[0])
    while start:
        if start in seen or len(seen) >= _MOST_PAGES:
            raise DataError(f"cannot read {name}: its pages go round in a circle, or are too many; re-export it")
        seen.add(start)
        page = _page(data, layout, start)
        yield page
        start = int(struct.unpack_from(layout.order + layout.place, data, page.link)[0])
    if not seen:
        raise DataError(f"cannot read {name}: it holds no page; re-export it or remove it")


def _page(data: bytes, layout: Layout, start: int) -> Page:
    count = int(struct.unpack_from(layout.order + ("Q" if layout.big else "H"), data, start)[0])
    if count > _MOST_ENTRIES:
        raise ValueError("too many entries")
    width, inline = (20, 8) if layout.big else (12, 4)
    first = start + (8 if layout.big else 2)
    numbers: dict[int, tuple[int, ...]] = {}
    places: dict[int, int] = {}
    description = ""
    for at in range(first, first + count * width, width):
        tag, kind, length = struct.unpack_from(layout.order + "HH" + layout.place, data, at)
        where = at + width - inline
        code = _SIZES.get(kind)
        if length * struct.calcsize(code or "B") > inline:
            where = int(struct.unpack_from(layout.order + layout.place, data, where)[0])
        if code is not None and length <= _MOST_VALUES:
            numbers[tag] = struct.unpack_from(f"{layout.order}{length}{code}", data, where)
            places[tag] = where
        elif tag == DESCRIPTION:
            description = data[where : where + min(length, 4096)].decode("latin-1").strip("\0")
    return Page(numbers, places, description, first + count * width, start)
