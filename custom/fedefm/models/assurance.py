"""What weights know about themselves, kept in the header of their file: how sure to be, and what they have seen.

Both were measured on a hospital's own images by `training/assure.py`. They change no mask. They say something of these
images, all taken together: see docs/your-images.md for what that is.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from fedefm.errors import ConfigError
from fedefm.settings import JsonSettings, Share, settings_class

MOST_LOOKS = 256
_Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
_Count = Annotated[int, Field(ge=1, le=10**7)]
_CERTAIN = 1e-6  # the score of a pixel is kept this far from 0 and 1


@settings_class
class Confidence(JsonSettings):
    """From a network's own score of a pixel to the share of such pixels that are right (Platt, 1999).

    sigmoid(slope * logit(score) + offset), where the score is the probability of the class that was chosen. With an
    offset of 0 and two classes it is temperature scaling (Guo et al., ICML 2017) with a temperature of 1 / slope.

    Attributes:
        slope: above 0, so a higher score stays a higher one.
        offset: likewise of the logit.
        images: validation images that it was fitted on.
        error_before: expected calibration error of the network's own scores on them.
        error_after: of the calibrated ones; on the same images, so too small by a little.
    """

    slope: Annotated[float, Field(gt=0, le=100)]
    offset: Annotated[float, Field(ge=-100, le=100)]
    images: _Count
    error_before: Share
    error_after: Share

    def of(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The calibrated ones, float64, of scores from 0 to 1."""
        inside = np.clip(np.asarray(scores, np.float64), _CERTAIN, 1 - _CERTAIN)
        logit = self.slope * np.log(inside / (1 - inside)) + self.offset
        return 1 / (1 + np.exp(-logit))


@settings_class
class Look(JsonSettings):
    """Where the images of a hospital lie among all that an image may look like (`data/appearance.py`).

    Attributes:
        centre: mean of each of their figures.
        precision: the inverse of the figures' covariance, shrunk.
        images: training images that they rest on.
        threshold: a distance to the nearest look that 95 of 100 validation images do not reach.
        validated: validation images that the threshold rests on.
    """

    centre: tuple[_Finite, ...]
    precision: tuple[tuple[_Finite, ...], ...]
    images: _Count
    threshold: Annotated[float, Field(gt=0, le=1e6)]
    validated: _Count

    def __post_init__(self) -> None:
        if not self.centre or {len(self.centre)} != {len(self.precision), *map(len, self.precision)}:
            raise ConfigError("look: its precision must have a row and a column for each figure of its centre")

    def strangeness(self, figures: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Mahalanobis distance of each image from the centre, in thresholds."""
        return mahalanobis(figures, np.array(self.centre), np.array(self.precision)) / self.threshold


def mahalanobis(
    figures: Float[np.ndarray, "n d"], centre: Float[np.ndarray, " d"], precision: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, " n"]:
    """Distance of each row from a centre, by the root of the number of figures: about 1 for a row like the others."""
    away = figures - centre
    squares = np.einsum("nd,de,ne->n", away, precision, away)
    return np.asarray(np.sqrt(np.maximum(squares, 0) / len(centre)))


@settings_class
class Assurance(JsonSettings):
    """Both parts are empty where nobody measured them.

    Attributes:
        confidence: how sure to be of a marked pixel.
        looks: what the images of each hospital looked like.
    """

    confidence: Confidence | None = None
    looks: tuple[Look, ...] = ()

    def __post_init__(self) -> None:
        if len(self.looks) > MOST_LOOKS or len({len(look.centre) for look in self.looks}) > 1:
            raise ConfigError(f"assurance: at most {MOST_LOOKS} looks, all with the same figures")

    def strangeness(self, figures: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """How far each image is from the nearest look: above 1 it looks like nothing in training.

        Raises:
            ConfigError: there is no look, or they are of other figures.
        """
        if not self.looks or len(self.looks[0].centre) != figures.shape[1]:
            raise ConfigError("assurance: its looks are of other figures; measure it again with `fedefm calibrate`")
        return np.asarray(np.min([look.strangeness(figures) for look in self.looks], axis=0))
