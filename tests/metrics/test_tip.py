import numpy as np
import pytest

from fedefm.metrics import Tip, device_tip, tip_distance
from support.random_masks import EMPTY, point


def line(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((60, 80), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("flip", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_tip_is_the_end_inside_the_picture(flip: tuple[int, ...], turned: bool) -> None:
    mask = line(slice(30, 31), slice(0, 50))
    where = np.zeros(mask.shape, bool)
    where[30, 49] = True
    mask, where = np.flip(mask, flip), np.flip(where, flip)
    if turned:
        mask, where = mask.T, where.T
    row, column = np.argwhere(where)[0]
    assert device_tip(mask) == Tip(column, row)


def test_a_loop_is_followed_along_the_device() -> None:
    """The tip lies near the border again, but far along the wire."""
    mask = line(slice(10, 11), slice(0, 40)) | line(slice(10, 50), slice(40, 41)) | line(slice(50, 51), slice(6, 41))
    assert device_tip(mask) == Tip(6, 50)


def test_a_guidewire_starts_at_its_catheter() -> None:
    catheter = line(slice(20, 24), slice(0, 70))
    wire = line(slice(22, 23), slice(12, 70))  # its tip is nearer to the border than its start
    assert device_tip(wire, carrier=line(slice(20, 24), slice(66, 80))).x == 12
    assert device_tip(wire, carrier=np.zeros_like(wire)).x == device_tip(wire).x
    assert device_tip(catheter).x >= 66


def test_specks_do_not_matter() -> None:
    mask = line(slice(30, 31), slice(0, 50))
    mask[5, 40] = True
    assert device_tip(mask) == Tip(49, 30)


def test_nothing_a_pixel_and_a_ring() -> None:
    assert device_tip(EMPTY) is None
    assert device_tip(point(3, 5)) == Tip(5, 3)
    ring = line(slice(10, 30), slice(10, 30)) & ~line(slice(11, 29), slice(11, 29))
    found = device_tip(ring)
    assert ring[int(found.y), int(found.x)]


def test_the_error_is_a_distance_or_nothing() -> None:
    assert tip_distance(Tip(3, 4), Tip(0, 0)) == 5
    assert tip_distance(None, Tip(0, 0)) is tip_distance(Tip(0, 0), None) is None
