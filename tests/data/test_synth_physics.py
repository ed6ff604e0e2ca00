"""The laws of image formation."""

import numpy as np
import pytest

from fedefm.data.synth.physics import display, transmitted, with_quanta, with_scatter


def test_transmission_multiplies_where_attenuation_adds():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 3, (2, 8, 8))
    np.testing.assert_allclose(transmitted(first + second, 0.0), transmitted(first, 0.0) * transmitted(second, 0.0))


@pytest.mark.parametrize("size", [32, 96, 100, 256])
def test_scatter_keeps_a_flat_field_and_lowers_contrast(size):
    flat = np.full((size, size), 0.7)
    np.testing.assert_allclose(with_scatter(flat, 0.4), flat, rtol=1e-6)
    object_in_field = flat.copy()
    object_in_field[size // 2, size // 2] = 0.35
    seen = with_scatter(object_in_field, 0.4)
    contrast = 1 - seen[size // 2, size // 2] / seen[size // 4, size // 4]
    assert contrast == pytest.approx(0.5 / 1.4, abs=0.01)


@pytest.mark.parametrize("exposure", [0.2, 1.0, 3.0])
def test_quantum_noise_has_the_variance_of_a_poisson_law(exposure):
    noisy = with_quanta(np.full((400, 400), exposure), 900.0, np.random.default_rng(1))
    assert noisy.mean() == pytest.approx(exposure, rel=0.002)
    assert noisy.var() == pytest.approx(exposure / 900.0, rel=0.05)


def test_display_is_monotonic_and_fills_the_grey_range():
    exposure = np.linspace(0.1, 2.0, 1024).reshape(32, 32)
    shown = display(exposure, np.ones((32, 32)), gamma=0.6, grey=(0.2, 0.8), window=(0.0, 100.0))
    assert np.all(np.diff(shown.ravel().astype(int)) >= 0)
    assert (shown.min(), shown.max()) == (51, 204)
