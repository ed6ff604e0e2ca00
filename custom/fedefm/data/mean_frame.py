"""The mean of frames that pass by, for what stands still in a run."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Float64

from fedefm.data.normalise import fill_padding


class MeanFrame:
    """Adds up the frames that are read through it; padding (NaN) counts as the darkest value of its frame."""

    def __init__(self) -> None:
        self._sum: Float64[np.ndarray, "h w"] | None = None
        self._count = 0

    def watch(self, frames: Iterable[Float32[np.ndarray, "h w"]]) -> Iterator[Float32[np.ndarray, "h w"]]:
        """The same frames."""
        for frame in frames:
            if not np.isnan(frame).all():
                if self._sum is None:
                    self._sum = np.zeros(frame.shape, np.float64)
                self._sum += fill_padding(frame)
                self._count += 1
            yield frame

    @property
    def mean(self) -> Float64[np.ndarray, "h w"] | None:
        """Of the frames that passed; None where each was nothing but padding."""
        return None if self._sum is None else self._sum / self._count
