import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from fedefm.training.augment import apply, draw


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
    plain = type(drawn)(False, 0, drawn.gain, drawn.shift, drawn.bend, still, still, 0)
    expected = images * drawn.gain + drawn.shift + drawn.bend * (images**2 - 1)
    torch.testing.assert_close(apply(plain, images, masks)[0], expected)


def test_images_of_a_batch_change_differently() -> None:
    images = torch.ones(4, 1, 8, 8)
    changed = apply(draw(4, 1.0, Generator().manual_seed(0)), images, torch.zeros(4, 8, 8, dtype=torch.int64))[0]
    assert len({round(float(x.mean()), 6) for x in changed}) == 4
