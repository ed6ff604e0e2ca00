"""Where a mask that lies on no dark line would lie on one."""

import numpy as np
from jaxtyping import Bool, Float32
from scipy import fft

from fedefm.data.inspection.seen import surroundings

FAR = 3
"""Pixels; a mask that lies less far away was drawn so."""
_DARK = 1.0  # deviations: what a mask must find at its better place


def better_place(frame: Float32[np.ndarray, "h w"], here: Bool[np.ndarray, "h w"]) -> tuple[int, int] | None:
    """How far to move a mask, rows down and columns to the right, so that it covers the darkest lines.

    All shifts are tried at once, as a correlation in the frequencies. None where no other place is clearly darker.
    """
    dark = -surroundings(frame)
    weights = here / max(1, int(here.sum()))
    size = [2 * length for length in frame.shape]  # so that nothing comes round at the other side
    found = fft.irfft2(fft.rfft2(dark, size) * np.conj(fft.rfft2(weights, size)), size)
    rows, columns = np.unravel_index(int(found.argmax()), found.shape)
    down, right = (int(k) if k < n // 2 else int(k) - n for k, n in zip((rows, columns), size, strict=True))
    gained = float(found[rows, columns]) - float((dark * weights).sum())
    return (down, right) if max(abs(down), abs(right)) > FAR and gained >= _DARK else None


def in_words(place: tuple[int, int]) -> str:
    """As `12 pixels up and 3 to the right`."""
    down, right = place
    parts = [
        *([f"{abs(down)} {'down' if down > 0 else 'up'}"] if down else []),
        *([f"{abs(right)} to the {'right' if right > 0 else 'left'}"] if right else []),
    ]
    return " and ".join(parts) + " (pixels)"
