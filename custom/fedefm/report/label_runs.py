"""A label map as runs of equal labels: small where devices are thin, and quick to draw for a page's script."""

import base64

import numpy as np
from jaxtyping import UInt8

MOST = (1 << 24) - 1
"""Pixels of a run; a longer one is written as several."""


def label_runs(labels: UInt8[np.ndarray, "h w"]) -> str:
    """The runs of a label map, row after row, as base64.

    Each takes four bytes, little-endian: 256 times its length in pixels, plus its label.
    """
    flat = labels.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.union1d(edges, np.arange(0, flat.size, MOST)) if flat.size > MOST else np.concatenate([[0], edges])
    lengths = np.diff(starts, append=flat.size)
    return base64.b64encode((lengths << 8 | flat[starts]).astype("<u4").tobytes()).decode("ascii")
