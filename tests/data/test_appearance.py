"""Ten figures that know how an image looks, and not where or what."""

import numpy as np

from fedefm.data.appearance import FIGURES, appearance
from fedefm.data.normalise import BLACK


def images(sharp: float, noise: float, count: int = 6, side: int = 64) -> np.ndarray:
    rng, places = np.random.default_rng(0), np.linspace(-1, 1, side)
    grid = np.sin(sharp * places)[None, :] + np.sin(sharp * places)[:, None]
    return (grid + noise * rng.normal(size=(count, side, side))).astype(np.float32)


def test_turning_an_image_round_changes_no_figure() -> None:
    one = images(9.0, 0.3)
    np.testing.assert_allclose(appearance(one), appearance(one[:, ::-1, ::-1]), rtol=1e-6, atol=1e-9)


def test_the_border_does_not_count() -> None:
    one = images(9.0, 0.3)
    framed = np.full((len(one), 64, 96), BLACK, np.float32)
    framed[:, :, 16:80] = one
    np.testing.assert_array_equal(appearance(framed), appearance(one))


def test_more_noise_is_more_in_the_finest_band_than_in_the_coarsest() -> None:
    quiet, loud = appearance(images(9.0, 0.05)), appearance(images(9.0, 0.5))
    gain = (loud - quiet).mean(0)
    assert gain[5] > 2 and gain[5] > 3 * abs(gain[7])


def test_an_image_of_nothing_has_finite_figures() -> None:
    for value in (BLACK, 0.0):
        found = appearance(np.full((2, 64, 64), value, np.float32))
        assert found.shape == (2, FIGURES) and np.isfinite(found).all()
