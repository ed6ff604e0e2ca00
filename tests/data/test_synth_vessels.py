"""Vascular maps: laws of a branching, tapering tree."""

import numpy as np
import pytest

from fedefm.data.synth.curves import arc_length, resample, spline
from fedefm.data.synth.vessels import VASCULAR_MAPS

MAPS = [VASCULAR_MAPS[look](np.random.default_rng(seed), 64.0) for look in VASCULAR_MAPS for seed in range(3)]


@pytest.mark.parametrize("vessels", MAPS)
def test_branches_leave_their_parents_narrower(vessels):
    assert len(vessels.branches) >= 3
    for branch in vessels.branches[1:]:
        parent = vessels.branches[branch.parent]
        np.testing.assert_allclose(branch.points[0], parent.points[branch.origin])
        assert branch.radii[0] <= 1.25 * parent.radii[branch.origin]
        assert branch.reach[0] == pytest.approx(parent.reach[branch.origin])
        assert branch.radii[-1] < branch.radii[0]


@pytest.mark.parametrize("vessels", MAPS)
def test_routes_are_unbroken_and_end_where_the_branch_ends(vessels):
    for target in vessels.targets:
        route = vessels.route(target)
        np.testing.assert_allclose(route[-1], vessels.branches[target].points[-1])
        assert np.abs(route[0]).max() > 64
        along = np.hypot(*np.diff(route[len(vessels.access) :], axis=0).T)
        assert along.max() < 2.5


@pytest.mark.parametrize("vessels", MAPS)
def test_motion_keeps_the_tree_connected_and_the_first_point_in_place(vessels):
    moved = vessels.moved(np.random.default_rng(1), 1.0)
    np.testing.assert_allclose(moved.branches[0].points[0], vessels.branches[0].points[0])
    for branch in moved.branches[1:]:
        np.testing.assert_allclose(branch.points[0], moved.branches[branch.parent].points[branch.origin])


def test_resampling_keeps_length_and_spaces_evenly():
    angle = np.linspace(0, np.pi, 400)
    half_circle = 50 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = resample(half_circle, 2.0)
    steps = np.diff(arc_length(points))
    assert arc_length(points)[-1] == pytest.approx(50 * np.pi, rel=1e-3)
    assert np.ptp(steps) < 0.01


def test_a_spline_passes_through_its_knots():
    knots = np.array([[0.0, 0.0], [20.0, 10.0], [25.0, 40.0], [0.0, 60.0]])
    curve = spline(knots, 0.1)
    nearest = np.min(np.hypot(*(curve[:, None] - knots[None]).transpose(2, 0, 1)), axis=0)
    assert nearest.max() < 0.1
