"""One class in one picture, as it was marked and as it is: what a metric of segmentation is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fedefm.metrics.overlap import Mask, check_pair
from fedefm.metrics.surface import hausdorff95
from fedefm.metrics.tip import Tip, device_tip, tip_distance


@dataclass(frozen=True)
class Pair:
    """A class where it was marked and where it is.

    Attributes:
        prediction: pixels that were marked.
        truth: pixels that show it.
        carrier: pixels that were marked as what the device comes out of, or None; see `device_tip`.
        true_carrier: pixels that show it, or None.
        spacing_mm: millimetres from row to row and from column to column, or None where nobody knows.

    Raises:
        DataError: the masks differ in shape.
    """

    prediction: Mask
    truth: Mask
    carrier: Mask | None = None
    true_carrier: Mask | None = None
    spacing_mm: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_pair(self.prediction, self.truth)

    @property
    def marked(self) -> bool:
        """Whether a pixel was marked."""
        return bool(self.prediction.any())

    @property
    def there(self) -> bool:
        """Whether a pixel shows the class."""
        return bool(self.truth.any())

    @cached_property
    def surface_px(self) -> float | None:
        """`hausdorff95`, in pixels."""
        return hausdorff95(self.prediction, self.truth)

    @property
    def surface_mm(self) -> float | None:
        """`hausdorff95`, in millimetres; None where it or the spacing is not known."""
        if self.spacing_mm is None or self._is_square:
            return self._in_mm(self.surface_px)
        return hausdorff95(self.prediction, self.truth, self.spacing_mm)

    @property
    def tip_px(self) -> float | None:
        """From the tip that was marked to the true one, in pixels."""
        return tip_distance(*self._tips)

    @property
    def tip_mm(self) -> float | None:
        """The same in millimetres; None where it or the spacing is not known."""
        if self.spacing_mm is None or self._is_square:
            return self._in_mm(self.tip_px)
        return tip_distance(*self._tips, self.spacing_mm)

    @cached_property
    def _tips(self) -> tuple[Tip | None, Tip | None]:
        return device_tip(self.prediction, self.carrier), device_tip(self.truth, self.true_carrier)

    @property
    def _is_square(self) -> bool:
        return self.spacing_mm is not None and self.spacing_mm[0] == self.spacing_mm[1]

    def _in_mm(self, pixels: float | None) -> float | None:
        return None if pixels is None or self.spacing_mm is None else pixels * self.spacing_mm[0]
