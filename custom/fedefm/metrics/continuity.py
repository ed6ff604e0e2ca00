"""Does a device stay in one piece?"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)  # a wire that runs diagonally touches itself at corners only


def pieces(mask: Bool[np.ndarray, "h w"], least: int = 1) -> int:
    """Connected pieces (8-neighbourhood) of at least `least` pixels; 0 for an empty mask, 1 for one pixel."""
    labelled, count = ndimage.label(mask, EIGHT)
    return int(count) if least <= 1 else int((np.bincount(labelled.ravel())[1:] >= least).sum())


def largest_piece(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected piece with most pixels, the first in reading order of equals; empty for an empty mask."""
    labelled, count = ndimage.label(mask, EIGHT)
    if count == 0:
        return np.zeros_like(mask)
    return np.asarray(labelled == 1 + np.bincount(labelled.ravel())[1:].argmax())
