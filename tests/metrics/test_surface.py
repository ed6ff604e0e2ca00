import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from scipy import ndimage
from scipy.spatial import distance

from fedefm.metrics import hausdorff95
from support.random_masks import EMPTY, blobs, point, wire


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.3, 0.5)])
def test_agrees_with_monai_on_random_masks(seed: int, spacing: tuple[float, float]) -> None:
    p, t = (blobs(seed), blobs(seed + 50)) if seed % 2 else (wire(seed), wire(seed + 50))
    pair = [torch.from_numpy(m)[None, None].float() for m in (p, t)]
    expected = float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing)))
    assert hausdorff95(p, t, spacing) == pytest.approx(expected, rel=1e-6)  # it counts in float32


@pytest.mark.parametrize("seed", range(10))
def test_agrees_with_all_pairs_in_float64(seed: int) -> None:
    p, t = wire(seed), blobs(seed, (64, 64))
    outlines = [np.argwhere(m & ~ndimage.binary_erosion(m)) * (0.3, 0.5) for m in (p, t)]
    pairs = distance.cdist(*outlines)
    expected = max(np.percentile(pairs.min(0), 95), np.percentile(pairs.min(1), 95))
    assert hausdorff95(p, t, (0.3, 0.5)) == pytest.approx(expected, abs=1e-6)


def test_is_symmetric_and_zero_only_on_itself() -> None:
    p, t = wire(1), wire(2)
    assert hausdorff95(p, t) == hausdorff95(t, p) > 0
    assert hausdorff95(p, p) == 0


def test_empty_masks_and_single_pixels() -> None:
    assert hausdorff95(EMPTY, EMPTY) == 0
    assert hausdorff95(EMPTY, point(1, 1)) is hausdorff95(point(1, 1), EMPTY) is None
    assert hausdorff95(point(1, 1), point(4, 5)) == 5
    assert hausdorff95(point(1, 1), point(4, 5), (2.0, 2.0)) == 10


def test_full_masks_have_the_border_as_outline() -> None:
    assert hausdorff95(np.ones((5, 5), bool), np.ones((5, 5), bool)) == 0
