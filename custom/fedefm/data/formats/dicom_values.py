"""What stored numbers of a DICOM file mean: modality values, padding, millimetres; of each frame where they differ.

Enhanced objects keep these in functional groups, shared by all frames or of one frame each; PS3.3, C.7.6.16 and C.11.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import Dataset, Header
from fedefm.data.formats.reader import Spacing
from fedefm.errors import DataError

# Where millimetres may be stated, the best first: of the patient, then of the detector, which is not corrected for
# magnification. A sequence, or None for the top, and the tag.
_SPACINGS = (
    (None, tags.PIXEL_SPACING),
    (tags.PIXEL_MEASURES, tags.PIXEL_SPACING),
    (tags.CALIBRATION, tags.OBJECT_SPACING),
    (None, tags.IMAGER_SPACING),
    (tags.FRAME_PIXELS, tags.IMAGER_SPACING),
)

_MOST_BITS = 64  # of a stored number; PS3.5, 8.1.1 has no more


@dataclass(frozen=True)
class Values:
    """The meaning of a file's stored numbers.

    Attributes:
        path: the file.
        header: its header.
    """

    path: Path
    header: Header

    @property
    def stored_range(self) -> tuple[int, int]:
        """Least and greatest number that the stored bits can express.

        Raises:
            DataError: the file declares a number of bits that no pixel has.
        """
        bits = self.header.whole(tags.BITS_STORED, 8)
        if not 0 < bits <= _MOST_BITS:
            raise DataError(f"cannot read {self.path.name}: it declares {bits} bits a pixel; re-export it")
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.header.whole(tags.SIGNED) else (0, (1 << bits) - 1)

    @property
    def is_turned(self) -> bool:
        """Whether more is darker."""
        return self.header.text(tags.PHOTOMETRIC) == "MONOCHROME1"

    @property
    def is_palette(self) -> bool:
        """Whether a stored number is that of a colour."""
        return self.header.text(tags.PHOTOMETRIC) == "PALETTE COLOR"

    def coloured(self, stored: NDArray[np.integer]) -> Float32[np.ndarray, "n h w 3"]:
        """Numbers of a palette as red, green and blue from 0 to 255; PS3.3, C.7.6.3.1.5.

        Raises:
            DataError: the palette is missing, damaged, or packed in segments.
        """
        tables = [
            self._read_table(self.header.values, *pair, "palette (0028,1101 to 0028,1203)") for pair in tags.PALETTE
        ]
        top = 257.0 if max(table.max() for _, table in tables) > 255 else 1.0
        return np.stack([_looked_up(stored, *table) / np.float32(top) for table in tables], axis=-1)

    def intended_range(self, frames: int) -> tuple[float, float]:
        """Least and greatest modality value that the stored bits of any frame can express."""
        if self.is_palette:
            return 0.0, 255.0
        if self._table is not None:
            return float(self._table[1].min()), float(self._table[1].max())
        ends = [
            slope * stored + intercept
            for slope, intercept in {self._rescale(k) for k in range(frames if self._per_frame else 1)}
            for stored in self.stored_range
        ]
        return min(ends), max(ends)

    def meant(self, stored: NDArray[np.generic], numbers: Sequence[int]) -> Float32[np.ndarray, "n h w"]:
        """Modality values of frames by their numbers, brighter for more."""
        found = np.empty(stored.shape, np.float32)
        for place, number in enumerate(numbers):
            found[place] = self._of_frame(stored[place], number)
        return found

    def padding(self, stored: NDArray[np.integer]) -> Bool[np.ndarray, "n h w"] | None:
        """Where a pixel says that there is no picture; None where the file has no such value."""
        value = self._padding_value(tags.PADDING)
        if value is None:
            return None
        limit = self._padding_value(tags.PADDING_LIMIT)
        low, high = sorted((value, value if limit is None else limit))
        return (stored >= low) & (stored <= high)

    def spacing(self, frames: int) -> Spacing | None:
        """Millimetres from row to row and from column to column where all frames agree, else None."""
        for within, tag in _SPACINGS:
            found = {self._spacing(within, tag, k) for k in range(frames if within and self._per_frame else 1)}
            if found != {None}:
                return found.pop() if len(found) == 1 else None
        return None

    def _of_frame(self, stored: NDArray[np.generic], number: int) -> NDArray[np.floating]:
        if self._table is not None:
            table = self._table[1]
            values = _looked_up(stored, *self._table)
            return np.float32(table.min() + table.max()) - values if self.is_turned else values
        slope, intercept = self._rescale(number)
        values = stored.astype(np.float64) if (slope, intercept) != (1, 0) else stored.astype(np.float32)
        if self.is_turned:
            values = sum(self.stored_range) - values
        return values if (slope, intercept) == (1, 0) else slope * values + intercept

    def _rescale(self, number: int) -> tuple[float, float]:
        """Slope and intercept of a frame."""
        item: Dataset | None = next(iter(self._group(tags.VALUE_TRANSFORMATION, number)), None)
        slope, intercept = (self.header.numbers(tag, item) for tag in (tags.SLOPE, tags.INTERCEPT))
        found = (slope[0] if slope else 1.0, intercept[0] if intercept else 0.0)
        if not all(np.isfinite(found)) or not found[0] or max(map(abs, found)) > 1e30:
            raise DataError(
                f"cannot read {self.path.name}: Rescale Slope and Intercept (0028,1053 and 0028,1052) are "
                f"{found[0]:g} and {found[1]:g}; re-export it"
            )
        return found

    @cached_property
    def _table(self) -> tuple[int, NDArray[np.float32]] | None:
        """First stored number and values of a look-up table, which then stands in place of the rescaling."""
        item = next(iter(self.header.items(tags.MODALITY_LUT)), None)
        if item is None:
            return None
        return self._read_table(item, tags.LUT_DESCRIPTOR, tags.LUT_DATA, "look-up table (0028,3000)")

    def _read_table(
        self, item: Mapping[int, Any], descriptor: int, values: int, name: str
    ) -> tuple[int, NDArray[np.float32]]:
        """First stored number and values of a table."""
        stated, data = self.header.wholes(descriptor, item), item.get(values, b"")
        count = (stated[0] or 1 << 16) if len(stated) == 3 else 0
        if not count or len(data) not in (count, count + count % 2, 2 * count):
            raise DataError(f"cannot read {self.path.name}: its {name} is damaged or in segments; re-export it")
        first = stated[1] - (1 << 16 if self.header.whole(tags.SIGNED) and stated[1] >= 1 << 15 else 0)
        kind = np.dtype(np.uint8) if len(data) < 2 * count else np.dtype(">u2" if self.header.big_endian else "<u2")
        return first, np.frombuffer(data, kind, count).astype(np.float32)

    def _padding_value(self, tag: int) -> int | None:
        stored = self.header.whole(tag, -1)
        if stored < 0:
            return None
        return stored - (1 << 16) if self.header.whole(tags.SIGNED) and stored >= 1 << 15 else stored

    def _spacing(self, within: int | None, tag: int, number: int) -> Spacing | None:
        places: list[Any] = [None] if within is None else self._group(within, number)
        for place in places:
            spacing = self.header.numbers(tag, place)
            if len(spacing) == 2 and min(spacing) > 0 and max(spacing) < float("inf"):
                return spacing[0], spacing[1]
        return None

    def _group(self, sequence: int, number: int) -> list[Dataset]:
        """The items of a functional group of a frame, or else of all frames."""
        own = self._per_frame[number] if number < len(self._per_frame) else {}
        return next((found for one in (own, *self._shared) if (found := self.header.items(sequence, one))), [])

    @cached_property
    def _per_frame(self) -> list[Dataset]:
        return self.header.items(tags.PER_FRAME)

    @cached_property
    def _shared(self) -> list[Dataset]:
        return self.header.items(tags.SHARED)


def _looked_up(stored: NDArray[np.generic], first: int, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values of a table; numbers before the first and behind the last one get theirs."""
    return table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
