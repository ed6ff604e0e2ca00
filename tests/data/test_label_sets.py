"""A label that is a set of classes: what it says of each class, by the set itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.data.label_sets import NOTHING_KNOWN, is_unsure, may_be, set_label, sets_in

SETS = st.sets(st.integers(1, 62), min_size=2, max_size=5)


def pixel(label: int) -> torch.Tensor:
    return torch.tensor([[[label]]])


@settings(max_examples=60, deadline=None)
@given(SETS, st.integers(0, 62))
def test_a_pixel_may_be_what_is_in_its_set(classes: set[int], channel: int) -> None:
    label = set_label(classes)
    assert bool(may_be(pixel(label), channel)) == (channel in classes)
    assert bool(is_unsure(pixel(label), channel)) == (channel in classes)
    assert sets_in(pixel(label)) == [tuple(sorted(classes))]
    assert label < NOTHING_KNOWN


@pytest.mark.parametrize("label", [0, 1, 5])
def test_an_ordinary_label_is_one_class_and_sure(label: int) -> None:
    assert [bool(may_be(pixel(label), k)) for k in range(7)] == [k == label for k in range(7)]
    assert not any(bool(is_unsure(pixel(label), k)) for k in range(7)) and sets_in(pixel(label)) == []


def test_of_one_class_the_label_is_the_class() -> None:
    assert set_label([3]) == set_label([3, 3]) == 3


def test_where_nothing_is_known_it_may_be_anything_and_makes_no_class_unsure() -> None:
    assert all(bool(may_be(pixel(NOTHING_KNOWN), k)) for k in range(7))
    assert not bool(is_unsure(pixel(NOTHING_KNOWN), 1)) and sets_in(pixel(NOTHING_KNOWN)) == []


@pytest.mark.parametrize("classes", [(), (0, 1), (63, 1), (-1,)])
def test_what_is_no_set_of_classes_is_refused(classes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each from 1 to 62"):
        set_label(classes)
