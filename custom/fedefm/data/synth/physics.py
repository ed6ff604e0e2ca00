"""From attenuation to grey values: Beer-Lambert, focal spot, scatter, quanta, display."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter, zoom

from fedefm.data.synth.looks import Look


def transmitted(attenuation: Float[np.ndarray, "h w"], reference: float) -> Float[np.ndarray, "h w"]:
    """Return the primary radiation I = I0 exp(-(t - reference)), 1 where t is the reference (Beer-Lambert)."""
    return np.exp(reference - attenuation)


def with_scatter(primary: Float[np.ndarray, "h w"], ratio: float) -> Float[np.ndarray, "h w"]:
    """Add the veil of scattered radiation and renew the mean: (P + ratio * wide blur of P) / (1 + ratio)."""
    if ratio == 0:
        return primary
    size = primary.shape[0]
    block = max(size // 24, 1)
    fit = size // block * block
    coarse = primary[:fit, :fit].reshape(fit // block, block, fit // block, block).mean(axis=(1, 3))
    veil = zoom(gaussian_filter(coarse, 3.0), size / coarse.shape[0], order=1, mode="nearest", grid_mode=True)
    return (primary + ratio * veil[:size, :size]) / (1 + ratio)


def with_quanta(
    exposure: Float[np.ndarray, "h w"], quanta: float, rng: np.random.Generator
) -> Float[np.ndarray, "h w"]:
    """Add quantum noise: variance proportional to the exposure, `quanta` a pixel where it is 1.

    The Gaussian limit of the Poisson law, slightly correlated since the scintillator spreads the light of one quantum.
    """
    if quanta == 0:
        return exposure
    grain = gaussian_filter(rng.standard_normal(exposure.shape, dtype=np.float32), 0.45, truncate=3)
    grain *= 1 / max(float(grain.std()), 1e-6)
    return np.maximum(exposure + np.sqrt(np.maximum(exposure, 0) / quanta) * grain, 0)


def expose(
    attenuation: Float[np.ndarray, "h w"],
    aperture: Float[np.ndarray, "h w"],
    look: Look,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Return what the detector sees behind the collimator, 1 at the automatic exposure's mean."""
    reference = float(np.median(attenuation[aperture > 0.5]))
    primary = gaussian_filter(transmitted(attenuation, reference) * aperture, look.blur, truncate=3)
    return with_quanta(with_scatter(primary, look.scatter), look.quanta, rng)


def display(
    exposure: Float[np.ndarray, "h w"],
    inside: Float[np.ndarray, "h w"],
    *,
    gamma: float,
    grey: tuple[float, float],
    window: tuple[float, float],
) -> UInt8[np.ndarray, "h w"]:
    """Return the displayed grey values.

    Args:
        exposure: what the detector saw.
        inside: where the aperture is open; only there the window is measured.
        gamma: exponent of the display curve.
        grey: darkest and brightest displayed grey, 0 to 1.
        window: percentiles of the open field that become these two.
    """
    curve = np.maximum(exposure, 0) ** gamma
    low, high = np.percentile(curve[inside > 0.5], window)
    scaled = np.clip((curve - low) / max(high - low, 1e-6), 0, 1)
    return np.rint(255 * (grey[0] + (grey[1] - grey[0]) * scaled)).astype(np.uint8)
