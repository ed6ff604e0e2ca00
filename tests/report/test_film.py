"""What the page of a segmented run says in words."""

import pytest

from fedefm.report.film import FilmMarks, spans


@pytest.mark.parametrize(
    ("numbers", "told"), [([], ""), ([3], "3"), ([3, 4, 5], "3 to 5"), ([1, 3, 7, 8, 12], "1, 3, 7 to 8, 12")]
)
def test_numbers_of_frames_are_told_as_a_person_writes_them(numbers: list[int], told: str) -> None:
    assert spans(numbers) == told


def test_a_frame_without_any_mark_is_empty() -> None:
    marks = FilmMarks(("catheter", "vessel"), ("catheter",))
    for probabilities in ((0.9, None), (None, None), (None, 0.4)):
        marks.add("", {}, probabilities)
    assert marks.empty == [2] and marks.tips == {"catheter": [None, None, None]}
