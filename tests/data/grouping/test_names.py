"""What names tell of patients and series, in the ways in which people name files."""

import re

import pytest

from fedefm.data.grouping.names import expression_for, patient_in, running, series_in


@pytest.mark.parametrize(
    ("stem", "patient"),
    [
        ("case12_frame003", "case12"),
        ("2020_Case-12_003", "case-12"),
        ("p07_seq1_frame2", "p07"),
        ("patient_4_t01", "patient_4"),
        ("p07", None),
        ("ani_00012", None),
        ("snap07_1", None),
        ("Image_01L", None),
    ],
)
def test_a_word_names_a_patient(stem: str, patient: str | None) -> None:
    assert patient_in(stem) == patient


@pytest.mark.parametrize(
    ("stem", "series"),
    [
        ("run1_f003", "run1"),
        ("left-slice-12", "left"),
        ("a_FRAME0007", "a"),
        ("3f2", "3"),
        ("frame_0001", ""),
        ("f12", None),
        ("left12", None),
        ("image_03", None),
        ("ani_00012", None),
    ],
)
def test_a_word_names_a_frame(stem: str, series: str | None) -> None:
    assert series_in(stem) == series


def test_running_numbers_are_found_in_the_order_of_their_numbers() -> None:
    (run,) = running(["a10", "a9", "b1", "a2", "b2", "x"])
    assert run.stems == ("a2", "a9", "a10") and run.numbers == (2, 9, 10)


@pytest.mark.parametrize(
    "groups",
    [
        {"run1_f1": "x", "run1_f2": "x", "run2_f1": "y"},
        {"p01_a_1": "x", "p01_b_7": "x", "p02_a_1": "y"},
        {"ani_1": "x", "ani_2": "x"},
        {"north-1": "x", "north-9": "x", "south-1": "y"},
    ],
)
def test_an_expression_is_offered_that_groups_in_just_this_way(groups: dict[str, str]) -> None:
    expression = expression_for(groups)
    assert expression is not None
    found = {stem: re.search(expression, stem)["patient"] for stem in groups}  # type: ignore[index]
    for one in groups:
        for other in groups:
            assert (found[one] == found[other]) == (groups[one] == groups[other])


def test_no_expression_is_offered_where_names_do_not_say_it() -> None:
    assert expression_for({"a0": "x", "copy_of_a0": "x", "a1": "y", "copy_of_a1": "y"}) is None
