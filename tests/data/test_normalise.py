"""Normalisation: laws of scale, and finite whatever comes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedefm.data.normalise import normalise
from fedefm.errors import DataError

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (1, 40, 50)).astype(np.float32)


@pytest.mark.parametrize(("slope", "intercept"), [(257, 0), (4, -1024), (1 / 255, 0), (0.5, 3000)])
def test_depth_rescale_and_offset_do_not_matter(slope: float, intercept: float) -> None:
    np.testing.assert_allclose(normalise(PICTURE * slope + intercept), normalise(PICTURE), atol=2e-3)


def test_sixteen_bits_of_a_picture_look_like_its_eight() -> None:
    fine = RANDOM.integers(0, 1 << 16, (1, 64, 64)).astype(np.float32)
    assert np.abs(normalise(np.floor(fine / 256)) - normalise(fine)).max() < 2 * 4 / 255  # two grey steps of 255


def test_turning_a_picture_turns_the_result() -> None:
    np.testing.assert_allclose(normalise(255 - PICTURE), -normalise(PICTURE), atol=1e-5)


def test_the_percentiles_become_minus_two_and_two() -> None:
    picture = RANDOM.normal(size=(1, 100, 100)).astype(np.float32)
    assert np.percentile(normalise(picture), [0.5, 99.5]) == pytest.approx([-2, 2], abs=1e-3)


def test_a_few_dead_or_burned_in_pixels_change_nothing() -> None:
    spoilt = PICTURE.copy()
    spoilt[0, 0, :4] = 65535
    before, after = normalise(PICTURE)[0, 1:], normalise(spoilt)[0, 1:]
    assert np.abs(before - after).max() < 0.05
    assert np.abs(normalise(spoilt)).max() <= 6


def test_a_wire_of_few_pixels_on_a_blank_screen_stays() -> None:
    screen = np.full((1, 256, 256), 255, np.float32)
    screen[0, :150] = 200  # a grey region beside the white
    screen[0, 30:130, 100] = 90  # the wire: 0.15 % of the pixels, darker than the region
    result = normalise(screen)
    assert result[0, 60, 100] < result[0, 60, 50] - 1
    screen[0, :150] = 255
    screen[0, 30:130, 100] = 90
    assert normalise(screen)[0, 60, 100] < normalise(screen)[0, 60, 50] - 1


@pytest.mark.parametrize("value", [0, 7, 65535, -3e8])
def test_a_constant_picture_is_zero(value: float) -> None:
    assert not normalise(np.full((2, 5, 5), value, np.float32)).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_refused(value: float) -> None:
    picture = PICTURE.copy()
    picture[0, 3, 3] = value
    with pytest.raises(DataError, match="NaN or infinite"):
        normalise(picture)


def test_a_cine_has_one_scale() -> None:
    cine = np.concatenate([PICTURE, PICTURE / 2])
    result = normalise(cine)
    slope = np.polyfit(cine.ravel(), result.ravel(), 1)[0]
    np.testing.assert_allclose(result[1] - result[0], slope * (cine[1] - cine[0]), atol=0.06)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (1, 6, 7), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)))
def test_any_finite_picture_becomes_bounded(picture: np.ndarray) -> None:
    result = normalise(picture)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 6
