"""Run lengths against texts that pycocotools 2.0.11 has written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.data.importers.coco_rle import decode_coco, decode_runs, encode_coco, unpack_counts
from fedefm.errors import DataError
from support.published_layouts import packed

RING = np.array(
    [[0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1]]
)
CROSS = np.zeros((40, 50), int)
CROSS[5:30, 7:9], CROSS[20, 10:45] = 1, 1


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        (";32NO012003N", RING),
        ("m8i0?0g1XOQO" + "0" * 67 + "d5", CROSS),
        ("h0", np.zeros((6, 4), int)),
        ("0h0", np.ones((6, 4), int)),
    ],
)
def test_texts_of_pycocotools(text: str, mask: np.ndarray) -> None:
    found = decode_coco({"size": list(mask.shape), "counts": text}, mask.shape, "x")
    assert np.array_equal(found, mask)
    assert packed(mask.astype(bool)) == text  # the writer of the other tests is right too


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_what_is_encoded_is_decoded(rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    plain = encode_coco(mask)
    assert sum(plain["counts"]) == mask.size and sum(plain["counts"][1::2]) == mask.sum()
    assert np.array_equal(decode_coco(plain, mask.shape, "x"), mask)
    assert unpack_counts(packed(mask), "x") == plain["counts"]


def test_runs_go_along_the_rows_of_what_they_are_given() -> None:
    assert decode_runs([1, 2, 3], (2, 3), "x").tolist() == [[False, True, True], [False, False, False]]


@pytest.mark.parametrize(
    ("segmentation", "word"),
    [
        ({"size": [5, 7], "counts": [5]}, "cover 5 pixels"),
        ({"size": [5, 7], "counts": [-5, 40]}, "from 0 on"),
        ({"size": [5, 7], "counts": ["a"]}, "whole numbers"),
        ({"size": [5, 7], "counts": None}, "whole numbers"),
        ({"size": [5, 7], "counts": [2**80]}, "whole numbers"),
        ({"size": [7, 5], "counts": [35]}, "its picture"),
        ({"counts": [35]}, "its picture"),
        ({"size": [5, 7], "counts": ";3~"}, "damaged"),
        ({"size": [5, 7], "counts": ";3o"}, "end within"),
        ({"size": [5, 7], "counts": "o" * 30}, "damaged"),
    ],
)
def test_damage_is_one_line(segmentation: dict, word: str) -> None:
    with pytest.raises(DataError, match=word) as caught:
        decode_coco(segmentation, (5, 7), "a.json, annotation 3")
    assert str(caught.value).startswith("a.json, annotation 3: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "segmentation",
    [{}, {"size": None}, {"size": 3}, {"size": [6, 4], "counts": [2.5, 21.5]}, {"size": [6, 4], "counts": [[24]]}],
)
def test_what_are_no_runs_is_one_line(segmentation: dict) -> None:
    with pytest.raises(DataError, match="export it again"):
        decode_coco(segmentation, (6, 4), "x")
