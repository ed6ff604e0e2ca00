from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from fedefm.training.augment import UPRIGHT, apply, draw

STILL = {"gain": torch.ones(1, 1, 1, 1), **dict.fromkeys(("shift", "bend", "blur"), torch.zeros(1, 1, 1, 1))}


def marked(seed: int, batch: int = 3, size: int = 8) -> tuple[Tensor, Tensor]:
    """Images whose grey value is their label, so that a mask that moves otherwise shows."""
    masks = torch.randint(0, 5, (batch, size, size), generator=Generator().manual_seed(seed))
    return masks.unsqueeze(1).to(torch.float32), masks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_without_strength_masks_move_with_their_images_and_grey_values_stay(seed: int) -> None:
    images, masks = marked(seed)
    moved, moved_masks = apply(draw(3, 0.0, Generator().manual_seed(seed)), images, masks)
    assert torch.equal(moved, moved_masks.unsqueeze(1).to(torch.float32))
    assert torch.equal(moved.flatten(1).sort(1).values, images.flatten(1).sort(1).values)


def test_all_eight_symmetries_of_the_square_occur() -> None:
    images, masks = marked(0, batch=1)
    seen = {
        tuple(apply(draw(1, 0.0, Generator().manual_seed(k)), images, masks)[1].flatten().tolist()) for k in range(99)
    }
    turned = [masks.rot90(k, (-2, -1)) for k in range(4)]
    assert seen == {tuple(m.flatten().tolist()) for m in [*turned, *(t.flip(-1) for t in turned)]}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1))
def test_at_any_strength_masks_keep_their_labels_and_images_stay_finite(seed: int, strength: float) -> None:
    images, masks = marked(seed)
    changed, moved = apply(draw(3, strength, Generator().manual_seed(seed)), images, masks)
    assert changed.shape == images.shape and bool(changed.isfinite().all())
    assert moved.dtype == torch.int64
    assert torch.equal(moved.flatten(1).sort(1).values, masks.flatten(1).sort(1).values)


def test_the_same_draw_gives_the_same_batch_whatever_the_global_seed() -> None:
    images, masks = marked(0)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(apply(draw(3, 1.0, Generator().manual_seed(7)), images, masks)[0])
    assert torch.equal(*results)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_grey_values_change_as_documented_where_there_is_no_blur_and_no_noise(strength: float) -> None:
    images, masks = marked(3)
    drawn = draw(3, strength, Generator().manual_seed(3))
    for name, width in (("shift", 0.5), ("bend", 0.25), ("blur", 0.8), ("noise", 0.25)):
        assert float(getattr(drawn, name).abs().max()) <= strength * width
    assert float(drawn.gain.log().abs().max()) <= strength * 0.4
    still = torch.zeros(3, 1, 1, 1)
    plain = type(drawn)(False, 0, None, drawn.gain, drawn.shift, drawn.bend, still, still, 0)
    expected = images * drawn.gain + drawn.shift + drawn.bend * (images**2 - 1)
    torch.testing.assert_close(apply(plain, images, masks)[0], expected)


def test_images_of_a_batch_change_differently() -> None:
    images = torch.ones(4, 1, 8, 8)
    changed = apply(draw(4, 1.0, Generator().manual_seed(0)), images, torch.zeros(4, 8, 8, dtype=torch.int64))[0]
    assert len({round(float(x.mean()), 6) for x in changed}) == 4


def place_of(masks: Tensor) -> tuple[float, float]:
    """Mean row and column of the pixels of class 1."""
    rows, columns = torch.nonzero(masks == 1, as_tuple=True)
    return float(rows.float().mean()), float(columns.float().mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_an_upright_image_is_never_turned_upside_down(seed: int) -> None:
    masks = torch.zeros(3, 32, 32, dtype=torch.int64)
    masks[:, 4:8, 14:18] = 1
    moved = apply(draw(3, 1.0, Generator().manual_seed(seed), UPRIGHT), masks.unsqueeze(1).float(), masks)[1]
    assert all(place_of(mask)[0] < 16 for mask in moved if (mask == 1).any())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_an_upright_mask_moves_with_its_image(seed: int) -> None:
    masks = torch.zeros(2, 32, 32, dtype=torch.int64)
    masks[:, 10:20, 12:16] = 1
    change = replace(draw(2, 1.0, Generator().manual_seed(seed), UPRIGHT), noise=torch.zeros(2, 1, 1, 1), **STILL)
    images, moved = apply(change, masks.unsqueeze(1).float(), masks)
    seen = images[:, 0] > 0.5
    assert bool(((moved == 1) == seen)[moved >= 0].float().mean() > 0.97)  # an edge may fall on either side


def test_around_an_image_is_a_dark_border_of_background_and_every_label_stays_exact() -> None:
    label = -(2**62 + 2**3)  # no float64 holds it and its neighbours
    images = 3 + torch.rand(1, 1, 16, 16)
    masks = torch.full((1, 16, 16), label)
    change = draw(1, 1.0, Generator().manual_seed(0), UPRIGHT)
    assert change.affine is not None
    change.affine[:] = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])  # a quarter of the side to the left
    change = replace(change, flip=False, noise=torch.zeros(1, 1, 1, 1), **STILL)
    shown, moved = apply(change, images, masks)
    assert bool((moved[0, :, 12:] == 0).all()) and bool((moved[0, :, :12] == label).all())
    torch.testing.assert_close(shown[0, 0, :, 12:], images.min().expand(16, 4))
    torch.testing.assert_close(shown[0, 0, :, :12], images[0, 0, :, 4:])
    still = replace(change, affine=torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]))
    assert torch.equal(apply(still, torch.rand(1, 1, 16, 16), masks)[1], masks)


def test_without_strength_an_upright_image_is_at_most_mirrored() -> None:
    images, masks = marked(1)
    for seed in range(8):
        moved = apply(draw(3, 0.0, Generator().manual_seed(seed), UPRIGHT), images, masks)[1]
        assert torch.equal(moved, masks) or torch.equal(moved, masks.flip(-1))
