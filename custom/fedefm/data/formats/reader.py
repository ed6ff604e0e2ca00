"""What a reader of a format says and does; `data check`, training and `segment` know nothing else of a file."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int64

from fedefm.data.nifti_header import Geometry
from fedefm.data.placing import Placing, placing

Frame = Float32[np.ndarray, "h w"]
Spacing = tuple[float, float]
"""Millimetres from row to row, and from column to column."""


@dataclass(frozen=True)
class ImageFrames:
    """The frames of one image file, brighter for more.

    Attributes:
        frames: grey values as the device means them (rescaled, not windowed), (f, h, w), float32.
        spacing_mm: millimetres of a pixel, or None where the file does not state them.
        bits: bits that a value was stored with.
        low: least value that those bits can express.
        high: greatest value that those bits can express; for floating point both are those of the file.
        format: PNG, JPEG, TIFF, NIFTI, DICOM ...
    """

    frames: Float32[np.ndarray, "f h w"]
    spacing_mm: Spacing | None
    bits: int
    low: float
    high: float
    format: str


class Reader(ABC):
    """One file: its header is read, its pixels are not yet.

    The functions of `fedefm.data.readers` make and use readers. They hold `shape` against the largest sizes before they
    ask for pixels, ask `check_whole` next, and look for NaN in what they get. So a format has to do none of this.

    Attributes:
        format: its name, in messages and in what `data check` counts.
        endings: of its files' names, in lower case; an empty one takes every name that ends like no other format.
        path: the file.
        shape: frames, rows and columns that are stored.
        spacing_mm: millimetres of a pixel, or None where the file does not state them.
        instance: its own unique name, by which a segmentation may refer to it; empty where it has none.
        segmentation: whether the file holds a mask and cannot be an image.
        padded: whether `stream` gives NaN where the file says that there is no picture.
        series: which series it belongs to; empty where it does not say.
        number: its place in the series.
    """

    format: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    path: Path
    shape: tuple[int, int, int]
    spacing_mm: Spacing | None = None
    instance: str = ""
    segmentation: bool = False
    padded: bool = False
    series: str = ""
    number: int = 0

    @staticmethod
    @abstractmethod
    def recognises(head: bytes, ending: str) -> bool:
        """Whether a file of this format begins with these bytes.

        Args:
            head: the first bytes of the file, at most `fedefm.data.readers.HEAD_BYTES`.
            ending: which of all formats' endings the file's name has.
        """

    @abstractmethod
    def __init__(self, path: Path) -> None:
        """Read the header, and allocate nothing by what it declares.

        Raises:
            DataError: it cannot be read; the message names the true cause.
        """

    @property
    def label_shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of `labels`."""
        return self.shape

    @property
    def lies(self) -> Geometry | None:
        """How the frames lie in space; None where the format, or this file, does not say."""
        return None

    def geometry(self) -> Geometry:
        """How the frames lie in space, or those of a screen where nothing is said.

        Raises:
            DataError: the file says so in numbers that mean nothing.
        """
        return Geometry.flat(self.spacing_mm)

    @abstractmethod
    def check_whole(self) -> None:
        """Refuse a file whose pixels are not all there, or not of the size that it declares.

        Nothing is to do where `image` and `labels` notice it; but many decoders fill what is missing with grey.

        Raises:
            DataError: so it is.
        """

    @abstractmethod
    def image(self) -> ImageFrames:
        """All frames, brighter for more; padding gets the darkest value of the file.

        Raises:
            DataError: the pixels cannot be decoded.
        """

    @abstractmethod
    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The numbers of a mask as they are stored.

        Raises:
            DataError: the pixels cannot be decoded, or are no whole numbers in one channel.
        """

    def label_shape_on(self, image: "Reader") -> tuple[int, int, int]:
        """Frames, rows and columns of `labels_on`.

        Raises:
            DataError: this is no mask of that image.
        """
        found = self._placing(image)
        return self.label_shape if found is None else found.shape

    def labels_on(self, image: "Reader") -> Int64[np.ndarray, "f h w"]:
        """The numbers of a mask on the pixels of its image, by what both say of where they lie.

        Raises:
            DataError: as `labels`, or this is no mask of that image.
        """
        found = self._placing(image)
        return self.labels() if found is None else found.place(self.labels())

    def _placing(self, image: "Reader") -> Placing | None:
        if self.lies is None:
            return None
        return placing(self.path.name, self.lies, self.label_shape, image.lies, image.shape)

    def stream(self, wanted: range) -> Iterator[Frame] | None:
        """Some frames of several, one at a time and no more of the file in memory; None where the format cannot do it.

        The same values as those of `image`, but for padding (see `padded`), whose value takes a look at all frames.

        Args:
            wanted: their numbers, from 0.

        Raises:
            DataError: a frame is missing or cannot be decoded.
        """
        return None
