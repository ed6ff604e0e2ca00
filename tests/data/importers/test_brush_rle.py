"""Brush strokes against what Label Studio's own converter has written."""

import numpy as np
import pytest

from fedefm.data.importers.brush_rle import decode_brush
from fedefm.errors import DataError
from support.published_layouts import brushed

RING = np.array(
    [[0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1]]
)
# label_studio_sdk 2.1.2, converter.brush.encode_rle, of RING as opacity 255 over black
PACKED = [
    0, 0, 0, 140, 57, 27, 254, 38, 0, 3, 254, 32, 0, 63, 226, 0, 3, 254, 32, 0, 63, 239, 0, 1, 255, 48, 0, 31, 241, 0,
    1, 255, 120, 0, 15, 248, 128, 0, 255, 136, 0, 15, 248, 128, 0, 255, 195, 192, 0, 127, 128,
]  # fmt: skip


def test_bytes_of_label_studio() -> None:
    assert np.array_equal(decode_brush(PACKED, RING.shape, "x"), RING)


def test_long_runs_and_single_values() -> None:
    mask = np.random.default_rng(0).random((24, 32)) < 0.3
    assert np.array_equal(decode_brush(brushed(mask), mask.shape, "x"), mask)


@pytest.mark.parametrize(
    ("packed", "word"),
    [
        (PACKED[:20], "cut off"),
        (PACKED[:3], "not of 7 x 5"),
        ([], "not of 7 x 5"),
        ([300], "no bytes"),
        (10**11, "no bytes"),
        (None, "no bytes"),
        ("ab", "no bytes"),
    ],
)
def test_damage_is_one_line(packed: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        decode_brush(packed, (5, 7), "a.json, task 1")
