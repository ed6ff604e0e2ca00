"""Tubes against the geometry of circles."""

import numpy as np
import pytest

from fedefm.data.synth.canvas import Canvas, Tubes, coverage, project_tubes, to_pixels


def horizontal(radius: float, y: float = 0.0, weight: float = 1.0) -> Tubes:
    x = np.arange(-150, 150, 0.5)
    return Tubes(np.stack([x, np.full(len(x), y)], axis=1), np.full(len(x), radius), np.full(len(x), weight))


def test_chord_of_a_straight_tube_is_that_of_a_circle():
    canvas = Canvas(256, 1.0)
    fine = project_tubes(canvas, horizontal(20.0))
    y = (np.arange(512) + 0.5) / 2 - 128
    expected = 2 * np.sqrt(np.maximum(20.0**2 - y**2, 0))
    assert np.abs(fine[:, 256] - expected).max() < 0.02


@pytest.mark.parametrize(("size", "magnification"), [(256, 1.0), (128, 1.0), (96, 2.0), (300, 1.3)])
def test_area_and_thickness_do_not_depend_on_the_grid(size, magnification):
    canvas = Canvas(size, magnification)
    fine = project_tubes(canvas, horizontal(12.0, y=3.0))
    width = coverage(fine)[:, size // 2].sum() * canvas.unit
    section = to_pixels(fine)[:, size // 2].sum() * canvas.unit
    assert width == pytest.approx(24.0, abs=1.5 * canvas.unit)
    assert section == pytest.approx(np.pi * 12**2, rel=0.01)


def test_a_tube_lies_where_the_grid_says():
    canvas = Canvas(64, 1.0)
    x, y = canvas.grid()
    point = Tubes(np.array([[50.0, -30.0]]), np.array([6.0]), np.ones(1))
    image = to_pixels(project_tubes(canvas, point))
    assert (image * x).sum() / image.sum() == pytest.approx(50.0, abs=0.1)
    assert (image * y).sum() / image.sum() == pytest.approx(-30.0, abs=0.1)


def test_weights_scale_the_chord_and_overlaps_do_not_add():
    canvas = Canvas(64, 1.0)
    full, half = project_tubes(canvas, horizontal(9.0)), project_tubes(canvas, horizontal(9.0, weight=0.5))
    both = horizontal(9.0)
    twice = project_tubes(canvas, Tubes(*(np.concatenate([part, part]) for part in vars(both).values())))
    np.testing.assert_allclose(half, 0.5 * full, rtol=1e-6)
    np.testing.assert_array_equal(twice, full)


def test_tubes_outside_the_field_leave_no_trace():
    assert project_tubes(Canvas(64, 2.0), horizontal(5.0, y=100.0)).max() == 0
