"""NumPy's `.npy`: one array of (rows, columns), (frames, rows, columns) or (rows, columns, 3 or 4 colours).

Axes of length 1 that networks want, as in (rows, columns, 1) or (1, frames, rows, columns), are passed over.
"""

import math
from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Int64
from numpy.lib import format as npy
from numpy.typing import NDArray

from fedefm.data.formats.decode import picture, to_labels
from fedefm.data.formats.reader import ImageFrames, Reader
from fedefm.errors import DataError

# In version 3 names of fields may be in UTF-8; arrays of numbers have none.
_HEADERS = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0, 3: npy.read_array_header_2_0}


class NumpyArray(Reader):
    """A `.npy` file; what would have to be unpickled is refused."""

    format = "NPY"
    endings = (".npy",)

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By its magic."""
        return head.startswith(npy.MAGIC_PREFIX)

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                read = _HEADERS[npy.read_magic(file)[0]]
                sides, self._by_columns, self._kind = read(file)
                self._start = file.tell()
        except (ValueError, KeyError, SyntaxError, RecursionError, TokenError) as error:
            cause = "truncated" if "EOF" in str(error) else "its NumPy header is damaged"
            raise DataError(f"cannot read {path.name}: {cause}; save it again") from error
        if self._kind.hasobject or self._kind.kind not in "buif":
            raise DataError(f"{path.name}: holds {self._kind.kind!r} and no numbers; save it as uint8 or float32")
        sides = _without_ones(sides)
        if len(sides) not in (2, 3):
            raise DataError(
                f"{path.name} has {len(sides)} dimensions; save one 2-D image or one stack of frames a file"
            )
        self._sides = sides
        self._colour = len(sides) == 3 and sides[2] in (3, 4) and sides[0] > 4
        self.shape = (1, sides[0], sides[1]) if self._colour or len(sides) == 2 else (sides[0], sides[1], sides[2])

    def check_whole(self) -> None:
        """Count the bytes."""
        if self.path.stat().st_size < self._start + math.prod(self._sides) * self._kind.itemsize:
            raise DataError(f"cannot read {self.path.name}: truncated; save it again")

    def image(self) -> ImageFrames:
        """All frames."""
        return picture(self._pixels(), self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers."""
        return to_labels(self._pixels(), self.path.name)

    def _pixels(self) -> NDArray[np.generic]:
        count = math.prod(self._sides)
        with self.path.open("rb") as file:
            file.seek(self._start)
            flat = np.frombuffer(file.read(count * self._kind.itemsize), self._kind, count)
        array = flat.reshape(self._sides, order="F" if self._by_columns else "C")
        native = array.astype(self._kind.newbyteorder("=") if self._kind.kind != "b" else np.uint8)
        return native if native.ndim == len(self.shape) and not self._colour else native[None]


def _without_ones(sides: tuple[int, ...]) -> tuple[int, ...]:
    """The sides of a picture or stack, less a channel behind them and more axes before them, each of length 1."""
    if len(sides) > 2 and sides[-1] == 1 and min(sides[-3:-1]) > 1:
        sides = sides[:-1]
    while len(sides) > 3 and sides[0] == 1:
        sides = sides[1:]
    return sides
