import numpy as np
import pytest
from scipy import ndimage

from fedefm.metrics import centreline_dice, skeleton
from support.random_masks import EMPTY, blobs, point, wire


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_monai_where_masks_are_lines_already(seed: int) -> None:
    """Where the masks are one pixel wide, clDice is Dice of the masks."""
    from monai.metrics import compute_dice

    p, t = skeleton(wire(seed)), skeleton(wire(seed + 1))
    assert (skeleton(p) == p).all() and (skeleton(t) == t).all(), "draw other lines: thinning these takes a corner away"
    import torch

    one_hot = [torch.from_numpy(np.stack([~m, m]))[None].float() for m in (p, t)]
    assert centreline_dice(p, t) == pytest.approx(float(compute_dice(*one_hot, include_background=False)), abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_a_skeleton_is_thin_and_keeps_the_pieces(seed: int) -> None:
    mask = blobs(seed)
    thin, eight = skeleton(mask), np.ones((3, 3))
    assert not (thin & ~mask).any()
    assert ndimage.label(thin, eight)[1] == ndimage.label(mask, eight)[1]
    assert not ndimage.binary_erosion(thin, np.ones((3, 3))).any()


def test_thickness_does_not_matter_but_a_gap_does() -> None:
    line = wire(3, width=3)
    thick = ndimage.binary_dilation(line, iterations=2)
    assert centreline_dice(thick, line) == pytest.approx(1.0, abs=0.1)
    torn = line.copy()
    torn[:, 8:20] = False
    assert 0.5 < centreline_dice(torn, line) < 0.9


def test_empty_masks_and_single_pixels() -> None:
    assert centreline_dice(EMPTY, EMPTY) == 1
    assert centreline_dice(EMPTY, point(2, 2)) == centreline_dice(point(2, 2), EMPTY) == 0
    assert centreline_dice(point(2, 2), point(2, 2)) == 1
    assert centreline_dice(point(2, 2), point(5, 5)) == 0


@pytest.mark.parametrize("side", [1, 2, 3])
def test_small_squares_keep_a_centre(side: int) -> None:
    mask = np.zeros((9, 9), bool)
    mask[3 : 3 + side, 3 : 3 + side] = True
    assert skeleton(mask).sum() >= 1
    assert not (skeleton(mask) & ~mask).any()
