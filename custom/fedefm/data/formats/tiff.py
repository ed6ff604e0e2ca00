"""TIFF: pages are frames, grey or colour; thumbnails are passed over."""

import re
import struct
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data import tiff_header as tags
from fedefm.data.formats.decode import decode, decode_bytes, picture, refuse_lossy_mask, to_labels, upright
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.data.tiff_blocks import coloured, is_plain, read_page, why_not
from fedefm.data.tiff_header import Layout, Page, linked, read_pages
from fedefm.errors import DataError

_IMAGE_IO = "TIFFImageIO"
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE = 0, 1, 3
_STACK = re.compile(r"ImageJ=.*\bimages=(\d{1,9})\b", re.DOTALL)


class Tiff(Reader):
    """A TIFF or BigTIFF file."""

    format = "TIFF"
    endings = (".tif", ".tiff")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its byte order and version; a DICOM file, too, may begin with those."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and head[128:132] != b"DICM"

    def __init__(self, path: Path) -> None:
        self.path, (self._layout, self._all) = path, read_pages(path.name, path.read_bytes())
        self._pages = _frames(path.name, self._all)
        rows, columns = self._first.size
        self.shape = (len(self._pages), *((columns, rows) if self._first.orientation > 4 else (rows, columns)))

    def check_whole(self) -> None:
        """Each strip and tile must lie within the file."""
        length = self.path.stat().st_size
        if not all(page.is_within(length) for page in self._pages):
            raise DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")

    def image(self) -> ImageFrames:
        """All pages; turned where 0 is white, which SimpleITK does for images of single bits only."""
        pixels = self._decoded(numbers=False)
        if pixels.ndim == 4 and pixels.shape[-1] > 4:
            raise DataError(f"{self.path.name} has {pixels.shape[-1]} values a pixel; save it as grey or RGB")
        if pixels.ndim == 4 and pixels.shape[-1] == 2:  # grey and opacity
            pixels = pixels[..., 0]
        image = picture(pixels, self.format)
        white_is_zero = self._first.number(tags.PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO
        if pixels.ndim == 3 and white_is_zero and self._bits > 1:
            return replace(image, frames=np.float32(image.low + image.high) - image.frames)
        return image

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers of all pages, of a palette those of its colours."""
        return to_labels(self._numbers(), self.path.name)

    def label_shape_on(self, image: Reader) -> tuple[int, int, int]:
        """Planes of a page are frames where the image has as many: a mask has no colours."""
        return image.shape if self._planes_are_frames(image) else super().label_shape_on(image)

    def labels_on(self, image: Reader) -> Int64[np.ndarray, "f h w"]:
        """As `labels`; planes may be frames."""
        if not self._planes_are_frames(image):
            return super().labels_on(image)
        return to_labels(np.moveaxis(self._numbers()[0][..., : image.shape[0]], -1, 0), self.path.name)

    def _planes_are_frames(self, image: Reader) -> bool:
        planes = self._first.number(tags.SAMPLES, 1) if self._first.number(tags.PLANAR, 1) == 2 else 1
        return len(self._pages) == 1 and planes > 1 and image.shape == (planes, *self.shape[1:])

    def _numbers(self) -> NDArray[np.generic]:
        """Stored numbers; bits that the decoder stretches to 0 ... 255 are shrunk again."""
        if self._first.number(tags.COMPRESSION, 1) in tags.JPEG_KINDS:
            refuse_lossy_mask(self.path.name)
        pixels = self._decoded(numbers=True)
        top = (1 << self._bits) - 1
        return pixels // (255 // top) if self._bits < 8 and pixels.max(initial=0) > top else pixels  # type: ignore[operator]

    def _decoded(self, *, numbers: bool) -> NDArray[np.generic]:
        """Pages that are frames, the right way up."""
        reason = next((found for page in self._pages if (found := why_not(page))), None)
        if reason is not None:
            raise DataError(f"{self.path.name}: {reason}")
        if not all(is_plain(page) for page in self._pages):
            return upright(self._blocks(numbers=numbers), self._first.orientation)
        changes = [] if self._pages == self._all else linked(self._layout, self._pages)
        for page in self._pages:
            if numbers and page.number(tags.PHOTOMETRIC, _BLACK_IS_ZERO) in (_WHITE_IS_ZERO, _PALETTE):
                changes.append((page.places[tags.PHOTOMETRIC], _short(self._layout, _BLACK_IS_ZERO)))
            if page.orientation != 1:
                changes.append((page.places[tags.ORIENTATION], _short(self._layout, 1)))
        if not changes:
            return decode(self.path, _IMAGE_IO, self.format)
        data = bytearray(self.path.read_bytes())
        for place, value in changes:
            data[place : place + len(value)] = value
        return upright(decode_bytes(bytes(data), ".tif", self.path, _IMAGE_IO, self.format), self._first.orientation)

    def _blocks(self, *, numbers: bool) -> NDArray[np.generic]:
        """Pages of tiles, planes or kinds of numbers that SimpleITK gets wrong."""
        data = self.path.read_bytes()
        try:
            found = np.stack([read_page(data, self._layout, page) for page in self._pages])
            if numbers:
                return found
            kind = self._first.number(tags.PHOTOMETRIC, _BLACK_IS_ZERO)
            if kind == _PALETTE:
                return coloured(self._first, found)
            return 255 - found if kind == _WHITE_IS_ZERO and self._bits == 1 else found  # type: ignore[operator]
        except ValueError as error:
            raise DataError(
                f"cannot read {self.path.name}: its TIFF pixels are damaged; re-export it or remove it"
            ) from error

    @cached_property
    def _first(self) -> Page:
        return self._pages[0]

    @property
    def _bits(self) -> int:
        return self._first.number(tags.BITS, 1)


def _frames(name: str, pages: list[Page]) -> list[Page]:
    """The pages that are frames: alike, and no thumbnails."""
    kept = [page for page in pages if not page.is_thumbnail] or pages
    first = kept[0]
    if first.number(tags.BITS, 1) not in (1, 2, 4, 8, 16, 32, 64):
        raise DataError(f"{name}: {first.number(tags.BITS, 1)} bits a value; save it with 8 or 16")
    frames = [page for page in kept if page.layout == first.layout]
    others = [page.size for page in kept if page.layout != first.layout]
    if any(rows * columns * 2 > first.size[0] * first.size[1] for rows, columns in others):
        raise DataError(f"{name}: its {len(kept)} pages differ in size or kind; save one picture or one stack a file")
    stated = _STACK.match(first.description)
    if stated and len(frames) == 1 < int(stated[1]):
        raise DataError(f"{name}: {stated[1]} frames of ImageJ in one page; save them as pages of their own")
    return frames


def _short(layout: Layout, value: int) -> bytes:
    return struct.pack(layout.order + "H", value)
