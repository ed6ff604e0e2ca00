"""Outlines and lines against their definition, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.data.importers.draw import fill_polygon, stroke_line

SHAPE = (14, 18)
CENTRES = np.stack(np.meshgrid(np.arange(18) + 0.5, np.arange(14) + 0.5), -1)
POINTS = st.lists(st.tuples(st.floats(-6, 24), st.floats(-6, 20)), min_size=1, max_size=5)


def test_a_rectangle_on_the_grid_has_its_area() -> None:
    region = fill_polygon(SHAPE, np.array([[2.0, 3], [7, 3], [7, 9], [2, 9]]))
    assert region[3:9, 2:7].all() and region.sum() == 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 22), st.floats(-5, 18)), min_size=3, max_size=3))
def test_a_triangle_holds_the_pixels_whose_centre_is_on_one_side_of_all_edges(corners: list) -> None:
    points = np.array(corners)
    sides = []
    for start, end in zip(points, np.roll(points, -1, 0), strict=True):
        along, to = end - start, CENTRES - start
        sides.append(along[0] * to[..., 1] - along[1] * to[..., 0])
    inside = np.all(np.array(sides) > 1e-6, 0) | np.all(np.array(sides) < -1e-6, 0)
    unsure = np.any(np.abs(np.array(sides)) <= 1e-6, 0)  # centres on an edge may go either way
    assert np.array_equal(fill_polygon(SHAPE, points)[~unsure], inside[~unsure])


@settings(max_examples=60, deadline=None)
@given(POINTS, st.floats(0.5, 6))
def test_a_line_holds_the_pixels_within_half_its_width(corners: list, width: float) -> None:
    points = np.array(corners)
    least = np.full(SHAPE, np.inf)
    for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
        samples = start + np.linspace(0, 1, 801)[:, None] * (end - start)
        gaps = np.linalg.norm(CENTRES[:, :, None] - samples, axis=-1)
        least = np.minimum(least, gaps.min(-1))
    unsure = np.abs(least - width / 2) < 2e-3  # the samples lie up to 0.02 apart
    assert np.array_equal(stroke_line(SHAPE, points, width)[~unsure], (least <= width / 2)[~unsure])


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0, 5.0])
def test_a_straight_line_is_as_wide_as_it_is_said_to_be(width: float) -> None:
    y = 7.0 if width % 2 == 0 else 7.5
    region = stroke_line(SHAPE, np.array([[-10, y + 1e-9], [40, y + 1e-9]]), width)
    assert (region.sum(0) == width).all()


def test_what_lies_outside_is_cut_off() -> None:
    assert not stroke_line(SHAPE, np.array([[100.0, 100], [200, 90]]), 4.0).any()
    assert not fill_polygon(SHAPE, np.array([[50.0, 50], [60, 50], [60, 60]])).any()
    assert fill_polygon(SHAPE, np.array([[-1e5, -1e5], [1e5, -1e5], [1e5, 1e5], [-1e5, 1e5]])).all()
