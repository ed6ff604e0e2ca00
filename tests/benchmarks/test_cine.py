"""The figures of the real cine, on masks whose figures are known."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks import cine

SHAPE = (512, 512)


def drawn(line: tuple[tuple[int, int], ...], width: int = 4) -> np.ndarray:
    far = np.ones(SHAPE, bool)
    xs, ys = cine._points(line)
    far[ys, xs] = False
    return np.asarray(ndimage.distance_transform_edt(far) <= width)


@pytest.fixture
def edge() -> np.ndarray:
    whole = np.ones(SHAPE, bool)
    return whole & ~ndimage.binary_erosion(whole, iterations=cine.EDGE, border_value=0)


def test_the_catheter_itself_is_found_near_and_not_on_the_border(edge: np.ndarray) -> None:
    catheter = drawn(cine.BEND)
    assert cine._length(catheter) == 1.0
    assert catheter[cine._corridor(SHAPE, cine.NEAR)].sum() == catheter.sum()
    assert not cine._on_border(catheter, edge, cine._corridor(SHAPE, cine.WITHIN))


@pytest.mark.parametrize(("rows", "length"), [(slice(10, 58), 0.5), (slice(0, 0), 0.0), (slice(300, 400), 0.0)])
def test_the_length_is_the_share_of_rows_that_are_marked(rows: slice, length: float) -> None:
    catheter = np.zeros(SHAPE, bool)
    catheter[rows, 255] = True
    assert cine._length(catheter) == pytest.approx(length, abs=0.02)


def test_a_mark_far_away_is_neither_length_nor_near() -> None:
    catheter = drawn(((400, 10), (400, 100)))
    assert cine._length(catheter) == 0.0 and not catheter[cine._corridor(SHAPE, cine.NEAR)].any()


def test_a_piece_that_stays_at_the_edge_is_on_the_border(edge: np.ndarray) -> None:
    catheter = drawn(cine.BEND)
    catheter[3:9, 300:330] = True
    assert cine._on_border(catheter, edge, cine._corridor(SHAPE, cine.WITHIN))


@pytest.mark.parametrize(("columns", "on_border"), [(slice(255, 265), False), (slice(245, 280), True)])
def test_a_loose_piece_of_the_catheter_itself_where_it_comes_in_is_no_border(
    columns: slice, on_border: bool, edge: np.ndarray
) -> None:
    catheter = np.zeros(SHAPE, bool)
    catheter[4:10, columns] = True
    assert cine._on_border(catheter, edge, cine._corridor(SHAPE, cine.WITHIN)) is on_border


def test_the_job_keeps_images_upright_and_both_hospitals_in() -> None:
    for run in range(len(cine.ROUNDS)):
        job = cine.settings(run)
        assert job.optimisation.orientation == "upright" and job.schedule.min_sites == len(cine.HOSPITALS)
