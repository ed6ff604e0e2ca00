"""A patient is in one split, and the split depends on the names alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.manifest import Manifest
from fedefm.data.splits import assign_splits, split_by_hash
from fedefm.errors import DataError

CLASSES = {0: "background", 1: "catheter"}


@given(st.lists(st.text(min_size=1, max_size=5), max_size=60))
def test_every_patient_once_in_about_the_stated_shares(patients: list[str]) -> None:
    split = split_by_hash(patients)
    assert set(split) == set(patients)
    counts = [list(split.values()).count(name) for name in ("train", "val", "test")]
    assert sum(counts) == len(set(patients))
    for count, share, least in zip(counts, (0.6, 0.15, 0.25), (1, 3, 2), strict=True):
        assert abs(count - share * len(split)) <= 1.5
        assert (count > 0) == (len(split) >= least)


@given(st.lists(st.text(min_size=1, max_size=5), max_size=30))
def test_order_and_repetition_do_not_matter(patients: list[str]) -> None:
    assert split_by_hash(patients) == split_by_hash([*reversed(patients), *patients])


def test_stated_splits_are_kept() -> None:
    manifest = Manifest("x", CLASSES, splits={"train": ("a",), "val": ("b",), "test": ("c",)})
    assert assign_splits(manifest, ["c", "a", "b", "a"]) == {"a": "train", "b": "val", "c": "test"}


@pytest.mark.parametrize(
    ("patients", "word"), [(["a"], "'b', who has no image"), (["a", "b", "z"], "'z' is in no split")]
)
def test_stated_splits_must_fit_the_files(patients: list[str], word: str) -> None:
    manifest = Manifest("x", CLASSES, splits={"train": ("a",), "test": ("b",)})
    with pytest.raises(DataError, match=word):
        assign_splits(manifest, patients)
