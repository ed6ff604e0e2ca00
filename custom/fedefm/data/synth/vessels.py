"""Vascular maps: trees of tapering vessels, and the way by which a device reaches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fedefm.data.synth.curves import arc_length, heading_at, smooth_noise, spline, walk


@dataclass(frozen=True)
class Branch:
    """One vessel.

    Attributes:
        points: (n, 2) centreline from its origin, in units.
        radii: (n,) radius along it, in units.
        parent: index of the branch that it leaves, -1 for a root.
        origin: index of the parent's point at which it leaves.
        reach: (n,) length of the way that contrast medium takes to each point, in units.
    """

    points: Float[np.ndarray, "n 2"]
    radii: Float[np.ndarray, " n"]
    parent: int
    origin: int
    reach: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class VascularMap:
    """The vessels of one patient.

    Attributes:
        branches: parents before their children.
        access: (n, 2) the way of a device from outside the field to the first point of branch 0; at least that point.
        targets: branches into which a wire may be steered.
    """

    branches: tuple[Branch, ...]
    access: Float[np.ndarray, "n 2"]
    targets: tuple[int, ...]

    def route(self, target: int) -> Float[np.ndarray, "n 2"]:
        """Return the way from outside the field to the end of a branch."""
        pieces, end = [], None
        while target >= 0:
            branch = self.branches[target]
            pieces.append(branch.points[: end if end is None else end + 1])
            target, end = branch.parent, branch.origin
        return np.concatenate([self.access, *pieces[::-1]])

    def moved(self, rng: np.random.Generator, amount: float) -> VascularMap:
        """Return the map in another phase of the heart or breath: turned, stretched and bent about its first point."""
        root = self.branches[0].points[0]
        angle, stretch = amount * rng.normal(0, 0.08), 1 + amount * rng.normal(0, 0.05, 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        wave, phase = amount * rng.normal(0, 2.0, 2), rng.uniform(0, 2 * np.pi, 2)

        def move(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
            local = (points - root) @ turn * stretch
            grown = 1 - np.exp(-np.hypot(*local.T)[:, None] / 40)
            return root + local + grown * wave * np.sin(local[:, ::-1] / 45 + phase)

        return replace(self, branches=tuple(replace(branch, points=move(branch.points)) for branch in self.branches))


def human_coronaries(rng: np.random.Generator, half: float) -> VascularMap:
    """Return a right or a left coronary tree that a catheter reaches from the aorta above."""
    side = rng.choice([-1.0, 1.0])
    ostium = np.array([side * rng.uniform(-0.15, 0.45), rng.uniform(-0.55, -0.2)]) * half
    access = _aortic_access(rng, ostium, side, half)
    branches = _right_coronary(rng, ostium, side) if rng.random() < 0.5 else _left_coronary(rng, ostium, side)
    targets = tuple(i for i, branch in enumerate(branches) if branch.parent <= 0 and branch.radii[0] > 1.8)
    return VascularMap(tuple(branches), access, targets)


def animal_abdomen(rng: np.random.Generator, half: float) -> VascularMap:
    """Return a large abdominal aorta with renal and mesenteric branches, entered from the groin below."""
    x = rng.uniform(-0.35, 0.35) * half
    knots = np.array([[x + rng.normal(0, 0.1 * half), 1.2 * half - step] for step in np.linspace(0, 2.4 * half, 6)])
    trunk = _branch(spline(knots), rng.uniform(6.0, 8.0), rng.uniform(7.5, 9.0), rng)
    branches = [trunk]
    for i, where in enumerate(np.sort(rng.uniform(0.3, 0.75, rng.integers(2, 5)))):
        side = 1 if i % 2 else -1
        branches += _side(rng, branches, 0, where, side * rng.uniform(0.7, 1.2), rng.uniform(0.38, 0.6), 75.0, depth=2)
    targets = tuple(i for i, branch in enumerate(branches) if branch.parent == 0)
    return VascularMap(tuple(branches), np.array([[trunk.points[0, 0], 1.3 * half]]), targets)


def silicone_model(rng: np.random.Generator, half: float) -> VascularMap:
    """Return what a bench phantom is cast from: an aortic arch, or an abdominal aorta with its branches."""
    return aortic_arch(rng, half) if rng.random() < 0.6 else animal_abdomen(rng, half)


def aortic_arch(rng: np.random.Generator, half: float) -> VascularMap:
    """Return an aorta whose arch gives off three tapering branches, entered from the descending aorta."""
    side = rng.choice([-1.0, 1.0])
    span, top = rng.uniform(0.24, 0.46), rng.uniform(-0.5, 0.0)
    lean = np.clip(rng.normal(0, 0.18), -0.35, 0.35)
    knots = np.array(
        [
            [span + rng.normal(0.1, 0.2), 1.25],
            [span + rng.normal(0.05, 0.07), 0.65],
            [span, top + 0.5],
            [0.75 * span, top + 0.15],
            [0.0, top],
            [-0.8 * span, top + 0.2],
            [-span, top + 0.55],
            [-span + 0.1, top + rng.uniform(0.75, 1.1)],
        ]
    )
    knots = (knots + rng.normal(0, 0.02, knots.shape)) * np.array([side, 1.0]) * half + np.array([lean * half, 0.0])
    radius = rng.uniform(0.05, 0.10) * half + 3
    trunk = _branch(spline(knots), radius * 0.85, radius * 1.15, rng, waves=0.03)
    branches = [trunk]
    for where in _arch_places(trunk, rng):
        branches += _upward(rng, branches, float(where), half)
    return VascularMap(tuple(branches), np.array([[knots[0, 0], 1.3 * half]]), (0, 0, *range(1, len(branches))))


def _arch_places(trunk: Branch, rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Return where along the trunk its three branches leave: around its highest point."""
    summit = int(np.argmin(trunk.points[:, 1]))
    return (summit + trunk.radii[summit] * (np.array([-1.1, 0.1, 1.4]) + rng.normal(0, 0.15, 3))) / len(trunk.points)


def cerebral_lateral(rng: np.random.Generator, half: float) -> VascularMap:
    """Return an internal carotid artery with its siphon, spreading into the anterior and middle cerebral arteries."""
    side = rng.choice([-1.0, 1.0])
    knots = np.array([[0.05, 1.2], [0.0, 0.75], [0.06, 0.48], [-0.12, 0.42], [-0.16, 0.28], [0.0, 0.22], [0.02, 0.08]])
    knots = (knots + rng.normal(0, 0.015, knots.shape)) * half * np.array([side, 1.0])
    trunk = _branch(spline(knots), rng.uniform(3.2, 4.2), 2.8, rng)
    branches = [trunk]
    for angle in np.array([-1.0, -0.35, 0.3, 0.9]) + rng.normal(0, 0.12, 4):
        branches += _side(rng, branches, 0, 0.985, angle, rng.uniform(0.5, 0.75), 130.0, depth=3)
    targets = tuple(i for i, branch in enumerate(branches) if branch.parent == 0)
    return VascularMap(tuple(branches), np.array([[trunk.points[0, 0], 1.3 * half]]), targets)


def _aortic_access(rng: np.random.Generator, ostium: Float[np.ndarray, "2"], side: float, half: float) -> np.ndarray:
    """Return the way of a guiding catheter from the upper border, hooked into the ostium."""
    top = ostium[0] + side * rng.uniform(-0.1, 0.4) * half
    bend = ostium + np.array([side * rng.uniform(6, 14), -rng.uniform(2, 10)])
    middle = np.array([0.5 * (top + bend[0]) + rng.normal(0, 0.08 * half), 0.5 * (-half + bend[1])])
    return spline(np.array([[top, -1.3 * half], middle, bend, ostium]))[:-1]


def _right_coronary(rng: np.random.Generator, ostium: np.ndarray, side: float) -> list[Branch]:
    """Return a C-shaped main vessel with marginal and posterior branches."""
    heading = np.pi if side > 0 else 0.0
    turn = -side * rng.uniform(2.9, 3.8)
    course = walk(rng, ostium, heading + side * 0.3, rng.uniform(170, 230), turn=turn, wander=0.28, period=22.0)
    branches = [_branch(course, rng.uniform(3.4, 4.6), 1.7, rng)]
    for where in np.sort(rng.uniform(0.12, 0.9, rng.integers(5, 9))):
        away = side if rng.random() < 0.6 else -side
        branches += _side(rng, branches, 0, where, away * rng.uniform(0.6, 1.2), rng.uniform(0.3, 0.55), 65.0, depth=2)
    return branches + _side(rng, branches, 0, 0.93, side * 0.7, 0.8, 70.0, depth=2)


def _left_coronary(rng: np.random.Generator, ostium: np.ndarray, side: float) -> list[Branch]:
    """Return a left main stem that divides into the anterior descending and the circumflex artery."""
    away = np.pi if side > 0 else 0.0
    down = -side
    main = walk(rng, ostium, away - down * 0.1, rng.uniform(12, 24), turn=down * 0.3, wander=0.1)
    branches = [_branch(main, rng.uniform(3.8, 5.0), 3.4, rng)]
    for angle, turn, length in ((-0.25, 1.1, 165), (0.75, 0.55, 130)):
        heading = away + down * (angle + rng.normal(0, 0.12))
        course = walk(
            rng, main[-1], heading, length * rng.uniform(0.8, 1.15), turn=down * turn, wander=0.3, period=20.0
        )
        parent = len(branches)
        radius, reach = 0.82 * branches[0].radii[-1], branches[0].reach[-1]
        branches.append(_branch(course, radius, 1.2, rng, 0, len(main) - 1, reach))
        for where in np.sort(rng.uniform(0.06, 0.85, rng.integers(4, 8))):
            turn_off = rng.choice([-1.0, 1.0], p=[0.3, 0.7] if down > 0 else [0.7, 0.3]) * rng.uniform(0.4, 0.9)
            branches += _side(rng, branches, parent, where, turn_off, rng.uniform(0.4, 0.7), 70.0, depth=2)
    return branches


def _upward(rng: np.random.Generator, branches: list[Branch], where: float, half: float) -> list[Branch]:
    """Return a vessel that leaves the arch towards the head, and one that leaves that."""
    trunk = branches[0]
    origin = int(where * (len(trunk.points) - 1))
    heading = -np.pi / 2 + rng.normal(0, 0.2)
    course = walk(rng, trunk.points[origin], heading, rng.uniform(0.8, 1.2) * half, wander=0.2, period=35.0)
    radius = trunk.radii[origin] * rng.uniform(0.36, 0.52)
    first = _branch(course, radius, 0.6 * radius, rng, 0, origin, trunk.reach[origin])
    split = _side(rng, [*branches, first], len(branches), rng.uniform(0.35, 0.7), rng.choice([-0.5, 0.5]), 0.6, 60.0, 1)
    return [first, *split]


def _side(
    rng: np.random.Generator,
    branches: list[Branch],
    parent: int,
    where: float,
    angle: float,
    share: float,
    length: float,
    depth: int,
) -> list[Branch]:
    """Return a vessel that leaves another at an angle and bends back along it, with `depth` - 1 orders of its own.

    Args:
        rng: source of the shape.
        branches: the tree so far; the new ones are to be appended.
        parent: index of the vessel to leave.
        where: share of the parent's length at which it leaves.
        angle: angle between the two, in radians.
        share: radius against the parent's there.
        length: mean length in units.
        depth: orders of branching to add.
    """
    stem = branches[parent]
    origin = int(where * (len(stem.points) - 1))
    heading = heading_at(stem.points, origin) + angle
    extent = length * rng.uniform(0.6, 1.3)
    course = walk(rng, stem.points[origin], heading, extent, turn=-0.6 * angle, wander=0.35, period=14.0)
    radius = min(max(share * stem.radii[origin], 0.5), stem.radii[origin])
    branch = _branch(
        course, radius, min(max(0.4 * radius, 0.35), 0.7 * radius), rng, parent, origin, stem.reach[origin]
    )
    grown = [branch]
    if depth > 1:
        for split in rng.uniform(0.25, 0.85, rng.integers(1, 4)):
            tree = [*branches, *grown]
            turn_off = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9)
            grown += _side(rng, tree, len(branches), split, turn_off, rng.uniform(0.5, 0.8), 0.55 * length, depth - 1)
    return grown


def _branch(
    points: Float[np.ndarray, "n 2"],
    first: float,
    last: float,
    rng: np.random.Generator,
    parent: int = -1,
    origin: int = 0,
    start: float = 0.0,
    waves: float = 0.06,
) -> Branch:
    """Return a vessel that tapers from radius `first` to `last`, its wall slightly uneven."""
    along = np.linspace(0, 1, len(points))
    uneven = 1 + waves * np.clip(smooth_noise(rng, len(points), 6.0), -2, 2)
    return Branch(points, (first + (last - first) * along) * uneven, parent, origin, start + arc_length(points))


VASCULAR_MAPS: dict[str, Callable[[np.random.Generator, float], VascularMap]] = {
    "human": human_coronaries,
    "animal": animal_abdomen,
    "phantom": silicone_model,
    "simulation": aortic_arch,
    "biplane": cerebral_lateral,
}
"""What to draw for each look, given the half width of the field in units."""
