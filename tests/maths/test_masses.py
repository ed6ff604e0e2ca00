import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedefm.errors import OptimalTransportError
from fedefm.maths.masses import CELLS, REACH, mass_similarity

SIDE = 64  # cells of two pixels


def spot(row: int, column: int, mass: float = 1.0) -> Tensor:
    image = torch.zeros(SIDE, SIDE)
    image[row, column] = mass
    return image


def test_the_same_mass_is_alike_and_a_silent_network_is_not() -> None:
    assert mass_similarity(spot(10, 10), spot(10, 10)) == pytest.approx(1)
    assert mass_similarity(spot(10, 10), spot(11, 11)) == pytest.approx(1)  # one cell
    assert mass_similarity(spot(10, 10), torch.zeros(SIDE, SIDE)) == 0
    assert mass_similarity(torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)) == 1


def test_by_hand() -> None:
    """A neighbour's cell costs 1/32 of the 1/16 that far mass costs; what one has more costs 1/16."""
    assert mass_similarity(spot(10, 10), spot(10, 12)) == pytest.approx(1 - 1 / 2)
    assert mass_similarity(spot(10, 10), spot(12, 12)) == pytest.approx(1 - math.sqrt(2) / 2)
    assert mass_similarity(spot(10, 10), spot(10, 14)) == pytest.approx(0)
    assert mass_similarity(spot(10, 10), spot(60, 60)) == pytest.approx(0)
    assert mass_similarity(spot(10, 10, 3), spot(10, 10, 1)) == pytest.approx(1 / 3)
    assert mass_similarity(spot(10, 10, 1), spot(10, 10, 4)) == pytest.approx(1 / 4)
    both = spot(10, 10) + spot(40, 40)
    assert mass_similarity(both, spot(10, 12)) == pytest.approx(1 - (1 / 2 + 1) / 2)


masses = st.integers(0, 2**31).map(
    lambda seed: (torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) > 0.98).double()
)


@settings(max_examples=30, deadline=None)
@given(masses, masses)
def test_symmetric_and_in_range_and_never_below_the_overlap_of_cells(a: Tensor, b: Tensor) -> None:
    found = mass_similarity(a, b)
    assert 0 <= found <= 1  # exactly: a server refuses what lies beyond by a bit
    assert found == pytest.approx(mass_similarity(b, a))
    cells = [m.view(CELLS, 2, CELLS, 2).sum((1, 3)) for m in (a, b)]
    shared = float(torch.minimum(*cells).sum()) / max(float(a.sum()), float(b.sum()))
    assert found >= shared - 1e-9


@pytest.mark.parametrize("seed", [11, 36, 58])
def test_far_masses_are_not_less_than_unlike(seed: int) -> None:
    """Where sums round, 1 - D / REACH is -2e-16 for these; a server refuses a share below 0."""
    draw = torch.Generator().manual_seed(seed)
    above, below = torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)
    counts = [int(torch.randint(1, 30, (1,), generator=draw)) for _ in range(2)]
    for image, count, rows in ((above, counts[0], (0, 20)), (below, counts[1], (40, SIDE))):
        image[torch.randint(*rows, (count,), generator=draw), torch.randint(SIDE, (count,), generator=draw)] = 1
    assert mass_similarity(above, below) == 0


def test_a_mask_beside_its_device_is_as_wrong_as_one_far_away() -> None:
    line = torch.zeros(SIDE, SIDE)
    line[20, 5:60] = 1
    near, far = line.roll(round(2 * REACH * SIDE), 0), line.roll(SIDE // 2, 0)
    assert mass_similarity(line, near) == pytest.approx(mass_similarity(line, far)) == pytest.approx(0)


def test_other_sizes() -> None:
    small, odd = torch.eye(16), torch.eye(48)
    assert mass_similarity(small, small) == pytest.approx(1)
    with pytest.raises(OptimalTransportError, match="do not fit"):
        mass_similarity(odd, odd)
    with pytest.raises(OptimalTransportError):
        mass_similarity(-torch.eye(64), torch.eye(64))
