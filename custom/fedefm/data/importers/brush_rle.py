"""Label Studio's brush strokes: red, green, blue and opacity of all pixels in one stream of bits.

A head of 32 bits has the number of values, 5 bits the size of a value less one, four times 4 bits the sizes of a
length less one. Then each run: 1 bit whether it repeats one value, 2 bits which size its length has, its length less
one, and its value, or all its values (github.com/thi-ng/umbrella, packages/rle-pack).
"""

from typing import Any

import numpy as np
from jaxtyping import Bool

from fedefm.errors import DataError

_CHANNELS = 4  # the last is opacity


def decode_brush(packed: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """The pixels that a brush has touched.

    Args:
        packed: the bytes.
        size: rows and columns.
        where: file and task, for the message.

    Raises:
        DataError: the stream is damaged, or of another size.
    """
    try:
        if not isinstance(packed, list | tuple):  # of a number there would be as many zeros
            raise TypeError
        bits = _Bits(bytes(packed))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its brush strokes are no bytes; export it again") from error
    count = bits.take(32)
    if count != _CHANNELS * size[0] * size[1]:
        raise DataError(f"{where}: its brush strokes are not of {size[1]} x {size[0]} pixels; export it again")
    word = bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in range(4)]
    values, at = np.zeros(count, np.uint32), 0
    while at < count:
        repeats = bits.take(1)
        length = bits.take(sizes[bits.take(2)]) + 1
        if bits.ended or at + length > count:
            raise DataError(f"{where}: its brush strokes are cut off or damaged; export it again")
        values[at : at + length] = bits.take(word) if repeats else [bits.take(word) for _ in range(length)]
        at += length
    return values.reshape(*size, _CHANNELS)[..., -1] > 0


class _Bits:
    """Bytes as a stream of bits; past the end come zeros."""

    def __init__(self, packed: bytes):
        self._packed, self._at = packed, 0

    @property
    def ended(self) -> bool:
        """Whether more was taken than there is."""
        return self._at > 8 * len(self._packed)

    def take(self, count: int) -> int:
        """The next bits as a whole number."""
        first, self._at = self._at, self._at + count
        last = -(-self._at // 8)
        piece = self._packed[first // 8 : last].ljust(last - first // 8, b"\0")
        return int.from_bytes(piece) >> (8 * last - self._at) & ((1 << count) - 1)
