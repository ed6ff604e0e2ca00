"""The shutter is found where one is, and nowhere else."""

import numpy as np
import pytest
from scipy import ndimage

from fedefm.data.shutter import MARGIN, field_of_view

SIDE = 320
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def anatomy(seed: int = 0, brightness: float = 120.0) -> np.ndarray:
    """Soft shadows under noise, with a dark line."""
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 30)
    picture = brightness * (1 + 0.35 * soft / np.abs(soft).max()) + rng.normal(0, 0.04 * brightness, (SIDE, SIDE))
    picture[:, 150:153] *= 0.8
    return picture.clip(0, 255)


def turned(angle: float, half: float) -> np.ndarray:
    a = np.deg2rad(angle)
    y, x = ROWS - SIDE / 2, COLUMNS - SIDE / 2
    return (np.abs(x * np.cos(a) + y * np.sin(a)) < half) & (np.abs(y * np.cos(a) - x * np.sin(a)) < half)


FIELDS = {
    "rectangle": (ROWS > 30) & (ROWS < 270) & (COLUMNS > 50) & (COLUMNS < 300),
    "one blade": COLUMNS > 40,
    "circle": np.hypot(ROWS - 160, COLUMNS - 160) < 150,
    "circle cut off by the image": np.hypot(ROWS - 160, COLUMNS - 160) < 190,
    "turned": turned(20, 110),
    "turned by 45 degrees": turned(45, 120),
}


def shut(picture: np.ndarray, field: np.ndarray, level: float = 6.0, blur: float = 1.0) -> np.ndarray:
    """A shutter that lets a little scattered light through, with blurred blades."""
    noise = np.random.default_rng(1).normal(0, 0.5, picture.shape)
    open_to = ndimage.gaussian_filter(field.astype(float), blur)
    return (picture * open_to + (level + noise) * (1 - open_to)).clip(0)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("brightness", [60.0, 180.0])
def test_a_shutter_of_any_shape_is_found_with_a_margin(name: str, brightness: float) -> None:
    field = FIELDS[name]
    found = field_of_view(shut(anatomy(brightness=brightness), field))
    assert found is not None
    assert (found & ~field).sum() == 0
    wide = round(4 * MARGIN * SIDE)  # the margin, the blur and a pixel of the reduced picture
    assert (ndimage.binary_erosion(field, iterations=wide, border_value=1) & ~found).sum() == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_without_a_shutter_is_left_alone(seed: int) -> None:
    assert field_of_view(anatomy(seed)) is None


@pytest.mark.parametrize("brightness", [4.0, 10.0, 25.0])
def test_a_dark_picture_has_no_shutter(brightness: float) -> None:
    assert field_of_view(np.random.default_rng(0).poisson(anatomy(0, brightness)).astype(float)) is None


def test_dark_anatomy_at_the_edge_is_no_shutter() -> None:
    spine = anatomy() * np.where(COLUMNS > 220, 0.35, 1.0)
    fading = anatomy() * (1 - 0.9 * COLUMNS / SIDE)
    liver = anatomy() * np.where(np.hypot(ROWS - 400, COLUMNS - 160) < 180, 0.3, 1.0)
    for picture in (spine, fading, liver):
        assert field_of_view(picture) is None


def test_dark_anatomy_that_touches_a_shutter_is_given_back() -> None:
    field = FIELDS["rectangle"]
    dark = (np.hypot(ROWS - 150, COLUMNS - 300) < 60) & field
    found = field_of_view(shut(anatomy() * np.where(dark, 0.05, 1.0), field))
    assert found is not None and found[150, 270] and not found[150, 310]


def test_plain_borders_of_any_grey_are_found() -> None:
    for level in (0.0, 90.0, 255.0):
        picture = np.full((SIDE, SIDE), level)
        picture[40:280] = anatomy()[40:280]
        found = field_of_view(picture)
        assert found is not None and not found[:40].any() and not found[280:].any() and found[50:270].all()


def test_letters_on_a_blade_do_not_belong_to_the_picture() -> None:
    picture = shut(anatomy(), FIELDS["rectangle"])
    picture[8:16, 10:40] = 250
    found = field_of_view(picture)
    assert found is not None and not found[:25].any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (64, 64), (1000, 700)])
def test_any_size_and_plain_pictures_are_taken(shape: tuple[int, int]) -> None:
    assert field_of_view(np.full(shape, 7.0)) is None
    found = field_of_view(np.random.default_rng(0).uniform(50, 90, shape))
    assert found is None or found.shape == shape


def under_blade(picture: np.ndarray, side: int, width: int) -> np.ndarray:
    """A straight blade along one side that lets a quarter of the light through, without showing what lies there."""
    field = np.ones(picture.shape, bool)
    np.rot90(field, side)[:width] = False
    return shut(picture, field, level=0.25 * float(picture.mean()), blur=3.0)


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize("width", [8, 20, 35])
def test_a_straight_blade_that_lets_light_through_is_left_out_up_to_its_blurred_edge(side: int, width: int) -> None:
    found = field_of_view(under_blade(anatomy(side), side, width))
    assert found is not None
    rows = np.rot90(found, side).mean(1)
    assert not rows[:width].any() and rows[width + round(4 * MARGIN * SIDE) :].all()


def test_such_a_blade_within_a_round_field_is_left_out_too() -> None:
    circle = FIELDS["circle cut off by the image"]
    found = field_of_view(shut(under_blade(anatomy(), 2, 30), circle, level=0.0))
    assert found is not None and not (found & ~circle).any()
    assert not found[-30:].any() and found[-30 - round(4 * MARGIN * SIDE) - 20, 120:200].all()


@pytest.mark.parametrize("side", range(4))
def test_dark_anatomy_along_a_side_is_no_blade(side: int) -> None:
    picture = anatomy(5)
    np.rot90(picture, side)[:25] *= 0.5  # its shadows are seen in it still
    assert field_of_view(picture) is None
