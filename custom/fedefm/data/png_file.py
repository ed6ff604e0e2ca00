"""Write a grey PNG, whole or with an error: SimpleITK leaves half a file on a full disk and says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt
from PIL import Image


def write_png(path: Path, grey: UInt[np.ndarray, "h w"]) -> None:
    """Write an image of 8 or 16 bits.

    Raises:
        OSError: it cannot be written.
    """
    Image.fromarray(grey).save(path, "PNG")
