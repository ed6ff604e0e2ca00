import base64
import io

import numpy as np
import pytest
from PIL import Image

from fedefm.errors import DataError
from fedefm.report.overlay import LONGEST_SIDE, MOST_OVERLAYS, PIXEL_BUDGET, Overlay, evenly, pictures
from fedefm.report.palette import class_colours, rgb
from support.fake_report import CLASSES, fake_overlay


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))))


def overlay(image, truth, prediction) -> Overlay:
    return Overlay("human", "one", image, truth, prediction)


def test_small_pictures_are_kept_bit_for_bit():
    made = fake_overlay(side=64)
    [picture] = pictures([made], CLASSES)
    np.testing.assert_array_equal(pixels(picture.image), made.image)
    assert (picture.width, picture.height, picture.coarse) == (64, 64, True)


def test_masks_have_the_colour_of_their_class_and_are_clear_elsewhere():
    truth = np.array([[0, 1, 2], [3, 255, -1]])
    [picture] = pictures([overlay(np.zeros((2, 3), np.uint8), truth, np.zeros((2, 3), np.int64))], CLASSES)
    drawn = pixels(picture.truth)
    for number, name in enumerate(CLASSES, start=1):
        assert tuple(drawn[truth == number][0, :3]) == rgb(class_colours(CLASSES)[name])
    np.testing.assert_array_equal(drawn[..., 3] > 0, (truth > 0) & (truth <= 3))
    assert not pixels(picture.prediction).any()


def test_a_thin_wire_survives_shrinking():
    truth = np.zeros((2048, 1024), dtype=np.int32)
    truth[:, 501] = 2
    [picture] = pictures([overlay(np.full(truth.shape, 90, np.uint8), truth, truth)], CLASSES)
    assert (picture.width, picture.height) == (LONGEST_SIDE // 2, LONGEST_SIDE)
    assert (pixels(picture.truth)[..., 3].max(axis=1) > 0).all()
    assert (pixels(picture.image) == 90).all()


@pytest.mark.parametrize("number", [1, 20, 100])
def test_all_pictures_together_stay_within_the_budget(number):
    shown = pictures([fake_overlay(index=i, side=260) for i in range(number)], CLASSES)
    assert len(shown) == min(number, MOST_OVERLAYS)
    assert sum(picture.width * picture.height for picture in shown) <= PIXEL_BUDGET


@pytest.mark.parametrize(("count", "most"), [(0, 3), (3, 3), (4, 3), (100, 7)])
def test_evenly_keeps_the_ends_and_the_order(count, most):
    kept = evenly(range(count), most)
    assert len(kept) == min(count, most)
    assert kept == sorted(set(kept))
    assert not kept or (kept[0], kept[-1]) == (0, count - 1)


@pytest.mark.parametrize(
    ("image", "truth"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int)),
        (np.zeros((0, 2), np.uint8), np.zeros((0, 2), int)),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), int)),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), int)),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2))),
    ],
    ids=["float image", "empty", "colour", "shapes differ", "float classes"],
)
def test_an_overlay_that_does_not_fit_is_refused(image, truth):
    with pytest.raises(DataError, match="'one'"):
        overlay(image, truth, truth)
