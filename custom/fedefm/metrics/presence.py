"""How well a number tells images with a class from images without: plain functions on what is stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Presence:
    """One class over the images of a split that state whether it is there.

    Attributes:
        logit: of each image; above 0 says that the class is there.
        there: whether it is.
    """

    logit: Float[np.ndarray, " n"]
    there: Bool[np.ndarray, " n"]


def area_under_roc(found: Presence) -> float | None:
    """Area under the ROC curve, from 0 to 1; None where all images are of one kind."""
    with_it, without = int(found.there.sum()), int((~found.there).sum())
    if not with_it or not without:
        return None
    from scipy.stats import rankdata  # a second to import, and few need it

    ranks = rankdata(found.logit)  # ties share their mean rank, as Mann and Whitney's U asks
    return (float(ranks[found.there].sum()) - with_it * (with_it + 1) / 2) / (with_it * without)


def f1(found: Presence) -> float:
    """Harmonic mean of precision and recall at a logit of 0; 1 where nothing is there and nothing was found."""
    said = found.logit > 0
    total = int(found.there.sum()) + int(said.sum())
    return 2 * int((said & found.there).sum()) / total if total else 1.0
