import numpy as np

from fedefm.metrics import pieces
from fedefm.metrics.continuity import largest_piece
from support.random_masks import EMPTY, point


def test_pieces_are_counted_over_corners() -> None:
    assert pieces(EMPTY) == 0
    assert pieces(point(0, 0)) == 1
    assert pieces(np.eye(5, dtype=bool)) == 1
    assert pieces(point(0, 0) | point(5, 5)) == 2


def test_small_pieces_can_be_left_out() -> None:
    mask = point(0, 0)
    mask[4, 2:8] = True
    assert pieces(mask) == 2
    assert pieces(mask, least=2) == 1
    assert pieces(mask, least=7) == 0


def test_the_largest_piece() -> None:
    mask = point(0, 0)
    mask[4, 2:8] = True
    assert largest_piece(mask).sum() == 6
    assert not largest_piece(EMPTY).any()
