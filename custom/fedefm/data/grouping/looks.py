"""How a picture looks, in 1024 small numbers, and which pictures look nearly the same.

A look is the picture at 32 x 32 less its own surroundings: contrast, brightness, size and encoding hardly change it.
Two are compared by the cosine of their angle. Measured: copies (half the size, JPEG at quality 50, gamma 0.7 or 1.3)
have 0.96 or more, neighbours in a cine 0.97 or more; different angiograms 0.83 at most, different retinas 0.93.

So that 40,000 need not all be compared with each other, each look gets signs of its products with random directions:
two looks at an angle a differ in a / pi of the signs (Charikar, "Similarity estimation techniques from rounding
algorithms", STOC 2002). They are sorted by several sets of signs, and each is compared with its neighbours there.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float, Int, Int8, UInt8
from numpy.typing import NDArray
from scipy import ndimage

VERSION = 1
"""To be raised with every change of the numbers that come out."""
SIDE = 32
ALIKE = 0.95
"""Least cosine of two pictures that are nearly the same."""
SAME = 0.9995
"""Least cosine of two files of one picture, encoded anew."""
MOST_FRAMES = 8  # of a cine: its frames are one patient's anyway
_SURROUNDINGS = 9
_TABLES, _BITS, _WINDOW = 16, 32, 6
_MOST_DIFFERING = 85  # of 512 signs: 52 +- 7 at a cosine of 0.95
_CHUNK = 4096


def looks_of(frames: Float[np.ndarray, "f h w"]) -> Int8[np.ndarray, "k 1024"]:
    """The looks of at most `MOST_FRAMES` frames of a file, evenly from the first to the last; zeros for a blank one."""
    picked = np.unique(np.linspace(0, len(frames) - 1, MOST_FRAMES).round().astype(int))
    return np.stack([_look(frames[k]) for k in picked])


def alike(
    looks: Int8[np.ndarray, "n 1024"], least: float = ALIKE
) -> tuple[Int[np.ndarray, "p 2"], NDArray[np.float64]]:
    """Pairs of looks that are nearly the same, with the cosine of each.

    Not each of them: two copies are found with a chance near 1, and of many pictures that are all alike at least a
    chain that joins them. Blank pictures are like nothing. It takes time and memory in proportion to n log n.
    """
    keys = signs(looks)
    kept = np.flatnonzero(looks.any(1))
    found = [np.zeros((0, 2), np.int64)]
    for table in range(_TABLES):
        ranked = kept[np.argsort(keys[kept, table], kind="stable")]
        for step in range(1, min(_WINDOW, len(kept) - 1) + 1):
            pairs = np.stack([ranked[:-step], ranked[step:]], 1)
            found.append(pairs[_differing(keys, pairs) <= _MOST_DIFFERING])
    pairs = np.unique(np.sort(np.concatenate(found), 1), axis=0)
    cosines = cosine(looks, pairs)
    return pairs[cosines >= least], cosines[cosines >= least]


def _differing(keys: NDArray[np.uint32], pairs: Int[np.ndarray, "p 2"]) -> NDArray[np.int64]:
    """In how many signs the looks of each pair differ."""
    both = (keys[pairs[:, 0]] ^ keys[pairs[:, 1]]).view(np.uint16)
    return _ones()[both].sum(1, dtype=np.int64)


@cache
def _ones() -> NDArray[np.uint8]:
    """How many bits of each number of 16 bits are set."""
    bits = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1)
    return bits.sum(1, dtype=np.uint8)


def cosine(looks: Int8[np.ndarray, "n 1024"], pairs: Int[np.ndarray, "p 2"]) -> NDArray[np.float64]:
    """Cosine of the angle of each pair; 0 beside a blank one."""
    norms = np.sqrt(np.einsum("ij,ij->i", looks.astype(np.float32), looks.astype(np.float32)).astype(np.float64))
    found = np.zeros(len(pairs))
    for first in range(0, len(pairs), _CHUNK):
        a, b = pairs[first : first + _CHUNK].T
        products = np.einsum("ij,ij->i", looks[a].astype(np.float32), looks[b].astype(np.float32)).astype(np.float64)
        scale = norms[a] * norms[b]
        found[first : first + _CHUNK] = np.divide(products, scale, out=np.zeros(len(a)), where=scale > 0)
    return found


def signs(looks: Int8[np.ndarray, "n 1024"]) -> NDArray[np.uint32]:
    """Signs of the products with random directions, (n, 16): the same on every machine, as all sums are whole."""
    found = np.zeros((len(looks), _TABLES), np.uint32)
    for first in range(0, len(looks), _CHUNK):
        products = looks[first : first + _CHUNK].astype(np.float32) @ _directions()
        found[first : first + _CHUNK] = np.packbits(products > 0, axis=1).view(np.uint32)
    return found


@cache
def _directions() -> NDArray[np.float32]:
    drawn = np.random.default_rng(0).integers(0, 2, (SIDE * SIDE, _TABLES * _BITS))
    return (2 * drawn - 1).astype(np.float32)


def _look(frame: Float[np.ndarray, "h w"]) -> Int8[np.ndarray, "1024"]:
    small = shrink(frame, SIDE)
    detail = small - ndimage.uniform_filter(small, _SURROUNDINGS, mode="nearest")
    detail -= detail.mean()
    spread = float(detail.std())
    if spread <= 1e-9 * max(1.0, float(np.abs(small).max())):
        return np.zeros(SIDE * SIDE, np.int8)
    scaled = np.clip(detail / spread, -3, 3)  # a dead pixel or a marker must not be all that there is
    return np.round(scaled * (127 / 3)).astype(np.int8).ravel()


def shrink(frame: Float[np.ndarray, "h w"], side: int) -> Float[np.ndarray, "s s"]:
    """The means of `side` x `side` tiles, float64; of a smaller picture pixels are repeated."""
    rows, columns = (np.arange(side) * length // side for length in frame.shape)
    counts = [
        np.maximum(np.diff([*starts, length]), 1) for starts, length in zip((rows, columns), frame.shape, strict=True)
    ]
    sums = np.add.reduceat(np.add.reduceat(frame, rows, 0, dtype=np.float64), columns, 1)
    found: NDArray[np.float64] = sums / np.outer(*counts)
    return found


def as_tokens(looks: Int8[np.ndarray, "n 1024"]) -> list[Sequence[bytes]]:
    """Eight texts of 8 bytes for each look: two files of one picture share one, other pictures practically never do.

    Two copies at a cosine of 0.999 share one with a chance of 0.98; blank pictures have none.
    """
    keys: UInt8[np.ndarray, "n b"] = signs(looks).view(np.uint8).reshape(len(looks), -1)
    return [
        [bytes([table]) + row[8 * table : 8 * table + 8].tobytes() for table in range(8)] if look.any() else []
        for look, row in zip(looks, keys, strict=True)
    ]
