"""COCO's run-length masks: runs of 0 and 1 in turn, down the columns, as numbers or packed into a text."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Integer

from fedefm.errors import DataError

_MORE, _SIGN, _OFFSET = 0x20, 0x10, 48  # of each character: five bits, whether more follow, the sign in the last


def decode_runs(runs: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """Runs of 0 and 1 in turn, the first of 0, along the rows of `size`.

    Raises:
        DataError: they do not fill the picture exactly.
    """
    try:
        stated = np.asarray(runs, np.float64)
        lengths = np.where(np.abs(stated) < 1 << 53, stated, -1).astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: its run lengths are no whole numbers; export it again") from error
    if lengths.ndim != 1 or (stated != lengths).any() or (lengths < 0).any() or (lengths > size[0] * size[1]).any():
        raise DataError(f"{where}: its run lengths are no whole numbers from 0 on; export it again")
    if int(lengths.sum()) != size[0] * size[1]:
        raise DataError(
            f"{where}: its runs cover {int(lengths.sum())} pixels, not the {size[1]} x {size[0]} of the picture; "
            "export it again"
        )
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size)


def decode_coco(segmentation: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """A mask in COCO's `{"size": [rows, columns], "counts": ...}`, packed or not.

    Raises:
        DataError: it is of another size than the picture, or damaged.
    """
    stated = segmentation.get("size")
    if not isinstance(stated, list) or stated != list(size):
        raise DataError(f"{where}: its mask has size {stated}, its picture {list(size)}; export it again")
    counts = segmentation.get("counts")
    runs = unpack_counts(counts, where) if isinstance(counts, str) else counts
    return decode_runs(runs, size[::-1], where).T


def unpack_counts(text: str, where: str) -> list[int]:
    """Run lengths of COCO's packed text: five bits a character, from the third on as difference to the last but one.

    Raises:
        DataError: a character is none of the code, or the last number is cut off.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - _OFFSET
        if not 0 <= bits < 2 * _MORE or shift > 60:
            raise DataError(f"{where}: its packed runs are damaged; export it again")
        value |= (bits & (_MORE - 1)) << shift
        shift += 5
        if not bits & _MORE:
            value -= (1 << shift) if bits & _SIGN else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise DataError(f"{where}: its packed runs end within a number; export it again")
    return runs


def encode_coco(region: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """A mask as COCO's runs in plain numbers."""
    return {"size": [int(side) for side in region.shape], "counts": count_runs(region.T.ravel())}


def count_runs(values: Bool[np.ndarray, " n"]) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, the first of 0 and perhaps empty."""
    changes: Integer[np.ndarray, " c"] = np.flatnonzero(np.diff(values))
    ends = np.concatenate([[0] if values[0] else [], changes + 1, [values.size]])
    return [int(length) for length in np.diff(ends, prepend=0)]
