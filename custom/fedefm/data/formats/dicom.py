"""DICOM: angiography of any encoding, single images and cines; segmentation objects as masks."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import first_element, read_header
from fedefm.data.formats.decode import refuse_lossy_mask, to_grey, to_labels
from fedefm.data.formats.dicom_frames import Frames
from fedefm.data.formats.dicom_seg import Segmentation
from fedefm.data.formats.dicom_values import Values
from fedefm.data.formats.reader import Frame, ImageFrames, Reader

_LOSSY_ALWAYS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_GREY = ("MONOCHROME1", "MONOCHROME2", "")


class Dicom(Reader):
    """A DICOM file with pixels, with or without an ending."""

    format = "DICOM"
    endings = (".dcm", ".seg.dcm", ".dicom", ".dic", ".ima", ".xa", "")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By the four letters after the preamble, or by what old exports begin with."""
        return first_element(head) is not None

    def __init__(self, path: Path) -> None:
        self.path, self._header = path, read_header(path)
        header = self._header
        self._stored, self._values = Frames(path, header), Values(path, header)
        self.shape = (self._stored.count, header.whole(tags.ROWS), header.whole(tags.COLUMNS))
        self.spacing_mm = self._values.spacing(self._stored.count)
        self.instance = header.text(tags.SOP_INSTANCE)
        self.segmentation = header.text(tags.SOP_CLASS) in tags.SEG_CLASSES
        self.padded = self._one_sample and tags.PADDING in header.values
        self.series, number = header.text(tags.SERIES), header.text(tags.INSTANCE_NUMBER)
        self.number = int(number) if re.fullmatch(r"[0-9]{1,9}", number) else 0

    @property
    def label_shape(self) -> tuple[int, int, int]:
        """Of a segmentation object as many frames as it refers to."""
        return (self._segments().count, *self.shape[1:]) if self.segmentation else self.shape

    def label_shape_on(self, image: Reader) -> tuple[int, int, int]:
        """Of a segmentation object the frames of its image: those that show nothing need not be stored."""
        return (self._segments(image).count, *self.shape[1:]) if self.segmentation else super().label_shape_on(image)

    def check_whole(self) -> None:
        """Count the bytes, and look into compressed streams."""
        self._stored.check_whole()

    def image(self) -> ImageFrames:
        """The modality values: rescaled, MONOCHROME1 turned, colour as luminance, no window."""
        numbers = range(self.shape[0])
        low, high = self._values.intended_range(len(numbers))
        frames, padding = self._grey(numbers)
        if padding is not None and padding.any() and not padding.all():
            frames[padding] = frames[~padding].min()
        bits = self._header.whole(tags.BITS_STORED, 8)
        return ImageFrames(frames, self.spacing_mm, bits, low, high, self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers, neither turned nor rescaled; of a segmentation object the segment numbers."""
        return self._segments().label_map(self._numbers()) if self.segmentation else self._numbers()

    def labels_on(self, image: Reader) -> Int64[np.ndarray, "f h w"]:
        """Of a segmentation object each frame at the frame of the image that it refers to."""
        return self._segments(image).label_map(self._numbers()) if self.segmentation else super().labels_on(image)

    def stream(self, wanted: range) -> Iterator[Frame] | None:
        """Each frame by itself; padding is NaN."""
        return self._frames(wanted)

    def _frames(self, wanted: range) -> Iterator[Frame]:
        self.check_whole()
        for number in wanted:
            frames, padding = self._grey((number,))
            if padding is not None:
                frames[padding] = np.nan
            yield frames[0]

    def _grey(self, numbers: Sequence[int]) -> tuple[Float32[np.ndarray, "n h w"], NDArray[np.bool_] | None]:
        """Modality values of some frames, and where they are padding."""
        if self._values.is_palette and self._header.whole(tags.SAMPLES, 1) == 1:
            return to_grey(self._values.coloured(self._stored.grey(numbers))), None
        if not self._one_sample:
            return to_grey(self._stored.colour(numbers)), None
        stored = self._stored.grey(numbers)
        return self._values.meant(stored, numbers), self._values.padding(stored)

    def _numbers(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers of all frames; those of a palette are the numbers of its colours."""
        header, numbers = self._header, range(self.shape[0])
        if header.syntax in _LOSSY_ALWAYS or (header.is_encapsulated and header.text(tags.LOSSY) == "01"):
            refuse_lossy_mask(self.path.name)
        one_sample = header.whole(tags.SAMPLES, 1) == 1
        return to_labels(self._stored.grey(numbers) if one_sample else self._stored.colour(numbers), self.path.name)

    def _segments(self, image: Reader | None = None) -> Segmentation:
        return Segmentation(self.path.name, self._header, self.shape[0], image)

    @property
    def _one_sample(self) -> bool:
        return self._header.whole(tags.SAMPLES, 1) == 1 and self._header.text(tags.PHOTOMETRIC) in _GREY
