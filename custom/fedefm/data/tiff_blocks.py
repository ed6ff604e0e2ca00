"""Pixels of a TIFF page from its strips or tiles (TIFF 6.0), for layouts that SimpleITK gets wrong without a word.

Of tiles, of planes and of opacity beside grey SimpleITK makes 8 bits a value, whatever was stored, so that labels of 16
bits become 0; and it takes half floats for whole numbers. Packed with JPEG or for fax machines is left to it.
"""

import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedefm.data import tiff_header as tags
from fedefm.data.tiff_header import Layout, Page

_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS = 1, 5, 8, 32946, 32773
_FAX = (2, 3, 4)
_KINDS: Final = {1: "u", 2: "i", 3: "f", 4: "u"}  # SampleFormat; 4 is "not said"
_FORMATS: Final = {("f", 16), ("f", 32), ("f", 64), *((kind, bits) for kind in "ui" for bits in (8, 16, 32, 64))}
_SIDE = 4096  # of a tile that is larger than its picture
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_COLOURS = (0, 1, 2, 3, 4)  # photometric interpretations whose values need no more than a colour map


def is_plain(page: Page) -> bool:
    """Whether SimpleITK decodes the page as it is stored: strips of whole pixels, of usual kinds."""
    samples, bits = page.number(tags.SAMPLES, 1), page.number(tags.BITS, 1)
    kind = _KINDS.get(page.number(tags.FORMAT, 1))
    if page.number(tags.COMPRESSION, _NONE) in (*tags.JPEG_KINDS, *_FAX) and samples in (1, 3):
        return True
    if tags.TILES in page.numbers or samples not in (1, 3, 4) or (samples > 1 and page.number(tags.PLANAR, 1) == 2):
        return False
    return bits < 16 or (bits == 16 and kind in ("u", "i")) or (bits == 32 and kind is not None)


def why_not(page: Page) -> str | None:
    """What keeps a page from being read; None where nothing does."""
    bits, packing = page.numbers.get(tags.BITS, (1,)), page.number(tags.COMPRESSION, _NONE)
    if packing not in (*_UNPACK, *tags.JPEG_KINDS, *_FAX):
        return f"packed by method {packing} of TIFF, which is not read; save it unpacked or with LZW"
    if is_plain(page):
        return None
    if page.number(tags.SAMPLES, 1) < 1:
        return "no value a pixel; re-export it"
    kind = _KINDS.get(page.number(tags.FORMAT, 1))
    if len(set(bits)) > 1 or not (bits[0] in (1, 2, 4) or (kind, bits[0]) in _FORMATS):
        return "values of a kind that is not read; save it with 8 or 16 bits"
    if packing not in _UNPACK:
        return f"tiles, planes or opacity packed by method {packing} of TIFF; save it unpacked or with LZW"
    if page.number(tags.PHOTOMETRIC, 1) not in _COLOURS:
        return f"colours of kind {page.number(tags.PHOTOMETRIC, 1)} in tiles or planes; save it as grey or RGB"
    if tags.TILES in page.numbers:
        sides = page.number(tags.TILE_ROWS, 0), page.number(tags.TILE_COLUMNS, 0)
        if any(side < 16 or side % 16 or side > max(_SIDE, *page.size) for side in sides):
            return f"tiles of {sides[1]} x {sides[0]}; re-export it"
    return None


def read_page(data: bytes, layout: Layout, page: Page) -> NDArray[np.generic]:
    """The values of a page: (rows, columns), and a third axis where a pixel has several.

    Values of 1, 2 or 4 bits are stretched to 0 ... 255, as SimpleITK does.

    Args:
        data: the whole file.
        layout: of the file.
        page: one for which `why_not` gives None, and which lies within the file.

    Raises:
        ValueError: pixels are missing or cannot be unpacked.
    """
    (rows, columns), samples = page.size, page.number(tags.SAMPLES, 1)
    apart = samples > 1 and page.number(tags.PLANAR, 1) == 2
    bits = page.number(tags.BITS, 1)
    kind = np.dtype(np.uint8 if bits < 8 else f"{layout.order}{_KINDS[page.number(tags.FORMAT, 1)]}{bits // 8}")
    whole = np.empty((samples if apart else 1, rows, columns, 1 if apart else samples), kind.newbyteorder("="))
    for plane, top, left, height, width, packed in _blocks(data, page, len(whole)):
        block = _unpacked(packed, page, kind, (min(height, rows - top), width, whole.shape[-1]))
        whole[plane, top : top + height, left : left + width] = block[:, : columns - left]
    pixels = np.moveaxis(whole[..., 0], 0, -1) if apart else whole[0]
    if bits < 8:
        pixels = pixels * np.uint8(255 // ((1 << bits) - 1))
    return pixels[..., 0] if samples == 1 else pixels


def coloured(page: Page, numbers: NDArray[np.generic]) -> NDArray[np.generic]:
    """Numbers of a palette as its colours, of 16 bits."""
    bits = page.number(tags.BITS, 1)
    table = np.array(page.numbers.get(tags.COLOUR_MAP, ()), np.uint16)
    if len(table) != 3 << bits:
        raise ValueError("no colours")
    found: NDArray[np.generic] = table.reshape(3, -1).T[numbers // (255 // ((1 << bits) - 1)) if bits < 8 else numbers]  # type: ignore[operator]
    return found


def _blocks(data: bytes, page: Page, planes: int) -> Iterator[tuple[int, int, int, int, int, bytes]]:
    """Plane, top, left, rows and columns of each strip or tile, and its bytes."""
    rows, columns = page.size
    if tags.TILES in page.numbers:
        height, width = page.number(tags.TILE_ROWS, 0), page.number(tags.TILE_COLUMNS, 0)
        starts, counts = page.numbers[tags.TILES], page.numbers.get(tags.TILE_BYTES, ())
    else:
        height, width = min(page.number(tags.STRIP_ROWS, rows), rows), columns
        starts, counts = page.numbers.get(tags.STRIPS, ()), page.numbers.get(tags.STRIP_BYTES, ())
    places = [
        (plane, top, left)
        for plane in range(planes)
        for top in range(0, rows, max(1, height))
        for left in range(0, columns, width)
    ]
    if not len(starts) == len(counts) == len(places):
        raise ValueError("blocks are missing")
    for (plane, top, left), start, count in zip(places, starts, counts, strict=True):
        yield plane, top, left, height, width, data[start : start + count]


def _unpacked(packed: bytes, page: Page, kind: np.dtype, shape: tuple[int, int, int]) -> NDArray[np.generic]:
    """The values of a strip or tile, as far down as the picture goes."""
    rows, columns, samples = shape
    bits = page.number(tags.BITS, 1)
    line = (columns * samples * bits + 7) // 8
    if page.number(tags.FILL_ORDER, 1) == 2:
        packed = packed.translate(_MIRRORED)
    raw = _UNPACK[page.number(tags.COMPRESSION, _NONE)](packed, rows * line)
    if len(raw) < rows * line:
        raise ValueError("a block is too short")
    lines = np.frombuffer(raw, np.uint8, rows * line).reshape(rows, line)
    if bits < 8:
        single = np.unpackbits(lines, axis=1)[:, : columns * samples * bits].reshape(*shape, bits)
        values: NDArray[np.uint8] = (single << np.arange(bits - 1, -1, -1, dtype=np.uint8)).sum(-1, dtype=np.uint8)
        return values
    predictor = page.number(tags.PREDICTOR, 1)
    if predictor == 3:  # bytes of a line by their weight, the heaviest first (Adobe, TIFF technical note 3)
        summed = lines.reshape(rows, -1, samples).cumsum(axis=1, dtype=np.uint8).reshape(rows, kind.itemsize, -1)
        return summed.transpose(0, 2, 1).copy().view(kind.newbyteorder(">")).reshape(shape)
    found = lines.view(kind).reshape(shape)
    if predictor != 2:
        return found
    unsigned = found.astype(kind.newbyteorder("=")).view(f"u{kind.itemsize}")
    return unsigned.cumsum(axis=1, dtype=unsigned.dtype).view(kind.newbyteorder("="))


def _stored(packed: bytes, wanted: int) -> bytes:
    return packed[:wanted]


def _inflated(packed: bytes, wanted: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, max(1, wanted))
    except zlib.error as error:
        raise ValueError("damaged") from error


def _bits_unpacked(packed: bytes, wanted: int) -> bytes:
    """TIFF 6.0, section 9."""
    found, position = bytearray(), 0
    while len(found) < wanted and position < len(packed):
        head = packed[position]
        if head < 128:
            found += packed[position + 1 : position + 2 + head]
            position += 2 + head
        else:
            found += packed[position + 1 : position + 2] * (257 - head if head > 128 else 0)
            position += 2 if head > 128 else 1
    return bytes(found[:wanted])


def _lzw(packed: bytes, wanted: int) -> bytes:
    """TIFF 6.0, section 13."""
    first = [bytes([value]) for value in range(256)] + [b"", b""]
    table, found, last = list(first), bytearray(), b""
    held, count, width = 0, 0, 9
    for byte in packed:
        held, count = (held << 8 | byte) & 0xFFFFFF, count + 8
        if count < width:
            continue
        count -= width
        code = held >> count & ((1 << width) - 1)
        if code == 257 or len(found) >= wanted:
            break
        if code == 256:
            table, last, width = list(first), b"", 9
            continue
        if code > len(table) or (code == len(table) and not last):
            raise ValueError("damaged")
        entry = table[code] if code < len(table) else last + last[:1]
        found += entry
        if last and len(table) < 4096:
            table.append(last + entry[:1])
        last, width = entry, min(12, max(9, (len(table) + 1).bit_length()))
    return bytes(found[:wanted])


_UNPACK: Final = {
    _NONE: _stored,
    _LZW: _lzw,
    _DEFLATE: _inflated,
    _OLD_DEFLATE: _inflated,
    _PACK_BITS: _bits_unpacked,
}
