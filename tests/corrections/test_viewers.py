"""Names of labels, as the two viewers read them."""

import re

from fedefm.corrections.viewers import itk_snap_labels, slicer_colours
from fedefm.report.palette import class_colours, rgb

CLASSES = ("guide wire", 'so called "tip"', "vessel\n9 x")


def test_itk_snap_finds_value_colour_and_name_on_each_line() -> None:
    lines = [line for line in itk_snap_labels(CLASSES).splitlines() if not line.startswith("#")]
    form = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([01])\s+([01])\s+"([^"]*)"')
    read = [match.groups() for line in lines if (match := form.fullmatch(line))]
    assert len(read) == len(lines) == 4 and read[0] == ("0", *"000", "0", "0", "0", "Clear Label")
    for k, (row, colour) in enumerate(zip(read[1:], class_colours(CLASSES).values(), strict=True), 1):
        assert tuple(map(int, row[:4])) == (k, *rgb(colour)) and row[4:7] == ("1", "1", "1")
    assert [row[7] for row in read[1:]] == ["guide wire", "so called 'tip'", "vessel 9 x"]


def test_slicer_finds_six_words_on_each_line() -> None:
    rows = [line.split(" ") for line in slicer_colours(CLASSES).splitlines() if not line.startswith("#")]
    assert all(len(row) == 6 for row in rows) and [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert [row[1] for row in rows] == ["background", "guide_wire", "so_called_'tip'", "vessel_9_x"]
    assert rows[1][2:] == [*map(str, rgb(class_colours(CLASSES)["guide wire"])), "255"]
