"""The portable bit, grey and colour maps of Netpbm (P1 to P6): the values as they are stored.

Picture libraries stretch the values to 0 ... 255 by the greatest one that the header names, so that the classes of a
mask get other numbers.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = re.compile(rb"P[1-6][\s#]")
_TOKEN = re.compile(rb"(?:\s|#[^\n]*(?:\n|$))*([0-9]{1,9})")
_COMMENT = re.compile(rb"#[^\n]*")


@dataclass(frozen=True)
class Map:
    """What a header says.

    Attributes:
        kind: 1 to 6, of the magic.
        size: rows and columns.
        greatest: value that stands for white; 1 of a bit map.
        start: where the values begin, in bytes.
    """

    kind: int
    size: tuple[int, int]
    greatest: int
    start: int

    @property
    def samples(self) -> int:
        """Values a pixel."""
        return 3 if self.kind in (3, 6) else 1


def read_map(head: bytes) -> Map:
    """Read the header.

    Raises:
        ValueError: it is damaged.
    """
    kind, at, numbers = int(head[1:2]), 2, []
    for _ in range(2 if kind in (1, 4) else 3):
        found = _TOKEN.match(head, at)
        if found is None:
            raise ValueError("damaged")
        numbers.append(int(found[1]))
        at = found.end()
    greatest = numbers[2] if len(numbers) > 2 else 1
    if not 0 < greatest < 1 << 16:
        raise ValueError("damaged")
    return Map(kind, (numbers[1], numbers[0]), greatest, at + 1)


def read_values(data: bytes, head: Map) -> NDArray[np.unsignedinteger]:
    """The values: (rows, columns), and a third axis for colour; of a bit map 1 is white, as a screen shows it.

    Raises:
        EOFError: some are missing.
        ValueError: they are none, or other pictures follow.
    """
    rows, columns = head.size
    count = rows * columns * head.samples
    values = _from_text(data[head.start :], head, count) if head.kind < 4 else _from_bytes(data, head, count)
    if values.size < count:
        raise EOFError
    if values.max(initial=0) > head.greatest:
        raise ValueError("damaged")
    pixels = values[:count].reshape(rows, columns, head.samples)
    if head.kind in (1, 4):
        pixels = 1 - pixels
    return pixels[..., 0] if head.samples == 1 else pixels


def _from_bytes(data: bytes, head: Map, count: int) -> NDArray[np.unsignedinteger]:
    rows, columns = head.size
    length = rows * -(-columns // 8) if head.kind == 4 else count * (1 if head.greatest < 256 else 2)
    body = data[head.start : head.start + length]
    if MAGIC.match(data, head.start + length):
        raise ValueError("several")
    if head.kind == 4:
        if len(body) < length:
            raise EOFError
        lines: NDArray[np.uint8] = np.frombuffer(body, np.uint8).reshape(rows, -1)
        return np.unpackbits(lines, axis=1)[:, :columns].ravel()
    if head.greatest < 256:
        return np.frombuffer(body, np.uint8)
    return np.frombuffer(body[: len(body) // 2 * 2], ">u2").astype(np.uint16)


def _from_text(text: bytes, head: Map, count: int) -> NDArray[np.unsignedinteger]:
    text = _COMMENT.sub(b"", text)
    if head.kind == 1:  # its digits need no space between them
        return np.frombuffer(bytes(text).translate(None, b" \t\r\n\v\f")[:count], np.uint8) - np.uint8(ord("0"))
    numbers = [int(word) for word in text.split(None, count)[:count]]
    if numbers and not 0 <= min(numbers) <= max(numbers) <= head.greatest:
        raise ValueError("damaged")
    return np.array(numbers, np.uint8 if head.greatest < 256 else np.uint16)
