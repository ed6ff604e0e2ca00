"""Geometry of the square: aspect kept, thin devices kept, and the way back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.data.letterbox import Letterbox, fit_images, fit_masks, mean_width, restore_mask
from fedefm.data.normalise import BLACK
from fedefm.data.synth.site import write_png
from fedefm.errors import DataError
from support.plain_shrink import plain_shrink

SIDES = st.integers(1, 70)


def components(mask: np.ndarray) -> int:
    """Number of 8-connected regions, by flood fill."""
    left = set(map(tuple, np.argwhere(mask)))
    count = 0
    while left:
        count += 1
        edge = [left.pop()]
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
    return count


def curve(side: int, width: float, seed: int) -> np.ndarray:
    """A wire of a given width along a cubic Bezier curve."""
    ends = np.random.default_rng(seed).uniform(0.1, 0.9, (4, 2)) * side
    t = np.linspace(0, 1, 700)[:, None]
    path = (1 - t) ** 3 * ends[0] + 3 * t * (1 - t) ** 2 * ends[1] + 3 * t * t * (1 - t) * ends[2] + t**3 * ends[3]
    y, x = np.mgrid[:side, :side]
    mask = np.zeros((side, side), bool)
    for cy, cx in path:
        rows = slice(max(0, int(cy - width) - 1), int(cy + width) + 2)
        columns = slice(max(0, int(cx - width) - 1), int(cx + width) + 2)
        mask[rows, columns] |= np.hypot(y[rows, columns] - cy, x[rows, columns] - cx) <= width / 2
    return mask


@given(SIDES, SIDES, SIDES)
def test_the_picture_fills_one_direction_and_is_centred_in_the_other(height: int, width: int, size: int) -> None:
    box = Letterbox(height, width, size)
    assert max(box.inner) == size
    assert min(box.inner) == max(1, round(min(height, width) * box.scale))
    for window, inner in zip(box.window, box.inner, strict=True):
        assert window.stop - window.start == inner
        assert abs(window.start - (size - window.stop)) <= 1


@pytest.mark.parametrize("sides", [(0, 4, 4), (4, 0, 4), (4, 4, 0)])
def test_nothing_does_not_fit(sides: tuple[int, int, int]) -> None:
    with pytest.raises(DataError):
        Letterbox(*sides)


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, st.integers(0, 99))
def test_a_mask_that_fits_comes_back_as_it_was(height: int, width: int, times: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 4, (height, width))
    size = max(height, width) * (1 + times % 3)
    box = Letterbox(height, width, size)
    square = fit_masks(mask[None], box)[0]
    np.testing.assert_array_equal(restore_mask(square, box), mask)
    outside = np.ones((size, size), bool)
    outside[box.window] = False
    assert not square[outside].any()


@settings(deadline=None, max_examples=40)
@given(SIDES, SIDES, SIDES, st.integers(0, 99))
def test_the_whole_is_kept_and_the_way_back_has_the_files_size(height: int, width: int, size: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 3, (height, width))
    box = Letterbox(height, width, size)
    square = fit_masks(mask[None], box)[0]
    assert set(np.unique(square)) <= {0, *np.unique(mask)}
    assert restore_mask(square, box).shape == mask.shape
    full = fit_masks(np.full((1, height, width), 2), box)[0]
    assert (full[box.window] == 2).all()


@pytest.mark.parametrize("width", [1.4, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("size", [96, 128, 256])
def test_a_wire_stays_in_one_piece(width: float, size: int) -> None:
    for seed in range(4):
        wire = curve(512, width, seed)
        assert components(wire) == 1
        small = fit_masks(wire[None].astype(np.int64), Letterbox(512, 512, size))[0] > 0
        assert components(small) == 1
        near = np.zeros((size + 2, size + 2), bool)
        for y, x in np.argwhere(wire) * size // 512:
            near[y : y + 3, x : x + 3] = True
        assert near[1:-1, 1:-1][small].all()  # no label beyond the pixels beside the wire


@pytest.mark.parametrize("column", range(300, 312))
def test_a_line_of_one_pixel_stays_wherever_it_falls(column: int) -> None:
    mask = np.zeros((1, 512, 512), np.int64)
    mask[0, :, column] = 1
    small = fit_masks(mask, Letterbox(512, 512, 96))[0]
    assert small.any(axis=1).all()
    assert small.sum(axis=1).max() <= 2


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """Wires, discs, blocks and single pixels of up to three classes, over one another."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    for label in random.permutation(3) + 1:
        kind, cy, cx = random.integers(4), random.uniform(0, height), random.uniform(0, width)
        if kind == 0:
            side = max(height, width)
            mask[curve(side, random.uniform(1, 6), seed)[:height, :width]] = label
        elif kind == 1:
            mask[np.hypot(y - cy, x - cx) < random.uniform(1, 30)] = label
        elif kind == 2:
            mask[int(cy) : int(cy + random.integers(1, 40)), int(cx) : int(cx + random.integers(1, 40))] = label
        else:
            mask[random.random(mask.shape) < 0.01] = label
    return mask


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 150), st.integers(2, 150), st.integers(1, 170), st.integers(0, 10**6))
def test_each_pixel_is_that_of_the_plain_definition(height: int, width: int, size: int, seed: int) -> None:
    mask, box = scene(height, width, seed), Letterbox(height, width, size)
    expected = np.zeros((size, size), np.uint8)
    expected[box.window] = plain_shrink(mask, box)
    np.testing.assert_array_equal(fit_masks(mask[None], box)[0], expected)


TIMES = """
import sys, time
from pathlib import Path
from fedefm.data.letterbox import Letterbox, fit_masks
from fedefm.data.readers import read_mask

def seconds(work):
    start = time.thread_time()
    work()
    return time.thread_time() - start

paths, box = sorted(Path(sys.argv[1]).iterdir()), Letterbox(512, 512, 256)
masks = [read_mask(path).astype("uint8") for path in paths]
# in turn, so that a busy machine slows both
taken = [(seconds(lambda: [read_mask(p) for p in paths]), seconds(lambda: [fit_masks(m, box) for m in masks]))
         for _ in range(9)]
print(*(min(column) for column in zip(*taken)))
"""


def test_making_masks_smaller_takes_no_longer_than_decoding_them(tmp_path: Path) -> None:
    for seed in range(12):
        wires = (curve(512, 3, seed) + 2 * curve(512, 6, seed + 100)).clip(max=2)
        write_png(tmp_path / f"{seed}.png", wires.astype(np.uint8))
    # in a process of its own: here each call's shapes are checked, which takes longer than the work
    process = subprocess.run([sys.executable, "-c", TIMES, str(tmp_path)], capture_output=True, text=True, check=True)
    decoding, resizing = map(float, process.stdout.split())
    assert resizing < 1.5 * decoding  # 0.9 when measured, 13 before


def test_broad_structures_keep_their_area() -> None:
    y, x = np.mgrid[:480, :480]
    disc = (np.hypot(y - 211.3, x - 260.7) < 120).astype(np.int64)
    for size in (96, 131, 256):
        small = fit_masks(disc[None], Letterbox(480, 480, size))[0]
        assert small.sum() * (480 / size) ** 2 == pytest.approx(disc.sum(), rel=0.02)


@pytest.mark.parametrize("size", [96, 131, 256])
def test_thin_branches_stay_on_a_thick_trunk(size: int) -> None:
    tree = np.zeros((512, 512), np.int64)
    tree[16:496, 240:264] = 1  # a trunk of 24 pixels
    for number, width in enumerate((1, 2, 3, 5)):
        rows = slice(70 + 100 * number, 70 + 100 * number + width)
        tree[rows, 264 : 264 + 200] = 1
    assert components(tree) == 1
    small = fit_masks(tree[None], Letterbox(512, 512, size))[0] > 0
    assert components(small) == 1
    scale = size / 512
    for number in range(4):
        rows = slice(int((60 + 100 * number) * scale), int((85 + 100 * number) * scale))
        branch = small[rows, round(270 * scale) : int(464 * scale)]
        assert branch.any(axis=0).all()
        assert branch.sum(axis=0).max() <= max(2, 5 * scale + 1)
    trunk = small[int(20 * scale) : int(60 * scale), : int(300 * scale)].sum(axis=1)
    assert abs(trunk - 24 * scale).max() <= 1  # the branches widen nothing else


def test_a_wire_inside_a_vessel_is_not_lost() -> None:
    mask = np.zeros((1, 512, 512), np.int64)
    mask[0, :, 200:260] = 3
    mask[0, 20:480, 230] = 2
    small = fit_masks(mask, Letterbox(512, 512, 96))[0]
    assert (small[6:88] == 2).any(axis=1).all()
    assert (small == 3).sum() > (small == 2).sum()


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_the_mean_width_of_a_band_is_its_width(width: int) -> None:
    band = np.zeros((400, 40), bool)
    band[:, 10 : 10 + width] = True
    assert mean_width(band) == pytest.approx(width, rel=width / 400 + 1e-9)
    assert mean_width(np.zeros((5, 5), bool)) == 0


def test_an_image_keeps_its_mean_and_gets_a_black_border() -> None:
    frames = np.random.default_rng(0).normal(size=(3, 120, 200)).astype(np.float32)
    box = Letterbox(120, 200, 50)
    square = fit_images(frames, box)
    assert square.shape == (3, 1, 50, 50)
    inside = square[:, 0, box.window[0], box.window[1]]
    assert inside.mean().item() == pytest.approx(float(frames.mean()), abs=0.01)
    assert inside.std() < 0.5  # averaged, not picked
    assert (square[:, 0, : box.window[0].start] == BLACK).all()
    assert (square[:, 0, box.window[0].stop :] == BLACK).all()


def test_an_image_of_the_right_size_is_untouched() -> None:
    frames = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    assert torch.equal(fit_images(frames, Letterbox(32, 32, 32))[:, 0], torch.from_numpy(frames))


def test_image_and_mask_stay_on_each_other() -> None:
    mask = np.zeros((1, 300, 200), np.int64)
    mask[0, 60:240, 40:110] = 1
    box = Letterbox(300, 200, 64)
    image = fit_images(mask.astype(np.float32), box)[0, 0].numpy()
    label = fit_masks(mask, box)[0]
    assert ((image > 0.5) == (label == 1)).mean() > 0.98
