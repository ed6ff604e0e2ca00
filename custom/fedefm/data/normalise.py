"""Grey values of any device, bit depth and window to one range that a network can train on.

Values are scaled so that the frame's 0.5 and 99.5 percentiles become -2 and 2, mid-grey 0. Percentiles survive what
differs between hospitals (8 or 16 bit, rescale, window, a few dead or burned-in pixels); the display window of a DICOM
file is not applied, because it is the taste of one viewer and cuts values off. A cine is scaled as a whole, so that
contrast running in does not change the scale from frame to frame.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from fedefm.errors import DataError

VERSION = 1
"""To be raised with every change of the values that come out: what was kept of an earlier one is then made anew."""

PERCENTILES = (0.5, 99.5)
BLACK = -2.0  # the low percentile, normalised; also the border of a padded image
# A wire of a few pixels on a blank screen lies wholly beyond the percentiles: clipping there would erase it.
CLIP = (-1.0, 2.0)


def normalise(frames: Float[np.ndarray, "f h w"]) -> Float[np.ndarray, "f h w"]:
    """Scale the frames of one file to about [-2, 2], float32.

    With the percentiles p and q of all frames together: y = (x - p) / (q - p), clipped to [-1, 2], then
    (y - 0.5) / 0.25. Where p = q the extremes take their place; a constant picture becomes zeros.

    Raises:
        DataError: where a pixel is NaN or infinite.
    """
    if not np.isfinite(frames).all():
        raise DataError("NaN or infinite pixels; re-export the image")
    low, high = _range(frames)
    span = np.float32(high - low)
    if span < np.finfo(np.float32).tiny:
        return np.zeros(frames.shape, np.float32)
    scaled = frames.astype(np.float32)
    with np.errstate(over="ignore"):  # clipped on the next line
        scaled -= np.float32(low)
        scaled /= span
    np.clip(scaled, *CLIP, out=scaled)
    scaled -= np.float32(0.5)
    scaled /= np.float32(0.25)
    return scaled


def fill_padding(frame: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A frame with its darkest value in place of padding (NaN); 0 where it is nothing but padding."""
    missing = np.isnan(frame)
    if not missing.any():
        return frame
    return np.where(missing, frame.dtype.type(0) if missing.all() else np.nanmin(frame), frame)


def _range(frames: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.percentile(frames, PERCENTILES)
    if high <= low:
        low, high = frames.min(), frames.max()
    return float(low), float(high)
