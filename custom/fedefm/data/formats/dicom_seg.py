"""A DICOM segmentation object as label maps: which frame of which image and which segment each stored frame means.

PS3.3, A.51 and C.8.20. Frames may be stored in any order, and those that show nothing may be left out. What counts is
the instance, the frame and the segment that each of them names.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import Dataset, Header
from fedefm.data.formats.reader import Reader
from fedefm.errors import DataError

_Source = tuple[str, tuple[int, ...]]  # an instance, and the numbers of its frames, from 1; none where it has one


class Segmentation:
    """Where each stored frame of a segmentation object belongs.

    Args:
        name: the file's name, for messages.
        header: of the object.
        frames: stored frames.
        image: what it is a mask of; None where nobody says, then all frames that it refers to are taken.

    Attributes:
        count: frames of the label map.

    Raises:
        DataError: it refers to another image, or does not say which frames it means.
    """

    def __init__(self, name: str, header: Header, frames: int, image: Reader | None):
        self._name, self._header, self._image = name, header, image
        self._is_map = header.text(tags.SEGMENTATION_TYPE) == "LABELMAP"
        self._segments = self._segment_of_each(frames)
        self._places, self.count = self._place_of_each(frames)

    def label_map(self, stored: Int64[np.ndarray, "n h w"]) -> Int64[np.ndarray, "f h w"]:
        """The segment number of each pixel, 0 outside.

        Raises:
            DataError: segments overlap, or the object is fractional.
        """
        if self._header.text(tags.SEGMENTATION_TYPE) == "FRACTIONAL":
            raise DataError(f"{self._name}: a fractional segmentation; export it as BINARY")
        labels: NDArray[np.int64] = np.zeros((self.count, *stored.shape[1:]), np.int64)
        for frame, segment, place in zip(stored, self._segments, self._places, strict=True):
            if place is None:
                continue
            inside = frame != 0
            if (labels[place][inside] != 0).any():
                raise DataError(f"{self._name}: segments overlap; export one label map (PNG or NIfTI)")
            labels[place][inside] = frame[inside] if self._is_map else segment
        return labels

    def _segment_of_each(self, frames: int) -> list[int]:
        """Segment number of every frame; in their order where the frames do not say."""
        found = [self._in_groups(item, tags.SEGMENT_OF_FRAME) for item in self._groups(frames)]
        numbers = [self._header.whole(tags.SEGMENT_NUMBER, values=inner[0]) if inner else 0 for inner in found]
        if min(numbers) > 0 or self._is_map:
            return numbers
        return [1] * frames if len(self._header.items(tags.SEGMENTS)) <= 1 else list(range(1, frames + 1))

    def _place_of_each(self, frames: int) -> tuple[list[int | None], int]:
        """For each stored frame its place in the label map, or None where it is of another image; and their count."""
        sources = [self._sources(item) for item in self._groups(frames)]
        if not all(sources):
            return self._in_order(frames, "does not say which frames of its image it means")
        if self._image is None:
            return self._by_themselves(sources)
        return self._on_image(sources, self._image)

    def _on_image(self, sources: Sequence[Sequence[_Source]], image: Reader) -> tuple[list[int | None], int]:
        count, instance = image.shape[0], image.instance
        named = {name for found in sources for name, _ in found}
        if instance and instance not in named | self._named_for_all():
            raise DataError(
                f"{self._name}: refers to another image than {image.path.parent.name}/{image.path.name} "
                "(Referenced SOP Instance UID, 0008,1155); give each image its own segmentation"
            )
        if not instance and len(named) > 1:
            raise DataError(f"{self._name}: refers to several images; give each image its own segmentation")
        own = [[numbers for name, numbers in found if name == instance or not instance] for found in sources]
        if count == 1:
            return [0 if found else None for found in own], 1
        places: list[int | None] = []
        for found in own:
            numbers = [number for one in found for number in one]
            if found and not numbers:
                return self._in_order(len(sources), "names no frames (Referenced Frame Number, 0008,1160)")
            if len(set(numbers)) > 1 or not all(0 < number <= count for number in numbers):
                raise DataError(
                    f"{self._name}: means frame {', '.join(map(str, numbers))} of {count} "
                    "(Referenced Frame Number, 0008,1160); export the segmentation of this image"
                )
            places.append(numbers[0] - 1 if numbers else None)
        return places, count

    def _by_themselves(self, sources: Sequence[Sequence[_Source]]) -> tuple[list[int | None], int]:
        """Without an image: all frames up to the last that is referred to, or one for each instance."""
        first = [(found[0][0], found[0][1][0] if found[0][1] else 0) for found in sources]
        if len({name for name, _ in first}) == 1 and all(number > 0 for _, number in first):
            return [number - 1 for _, number in first], max(number for _, number in first)
        order = {key: place for place, key in enumerate(dict.fromkeys(first))}
        if len(order) == 1 and len(set(self._segments)) < len(first):
            return self._in_order(len(first), "names no frames (Referenced Frame Number, 0008,1160)")
        return [order[key] for key in first], len(order)

    def _in_order(self, frames: int, why: str) -> tuple[list[int | None], int]:
        """Frames that refer to nothing: one segment in the order stored, or several segments of one image."""
        if self._is_map or len(set(self._segments)) == 1:
            return list(range(frames)), frames
        if len(set(self._segments)) == frames:
            return [0] * frames, 1
        raise DataError(
            f"{self._name}: several segments with several frames, and it {why}; export one label map (PNG or NIfTI)"
        )

    def _groups(self, frames: int) -> list[Dataset]:
        """The functional groups of each frame; empty where there are none, or not as many as frames."""
        items = self._header.items(tags.PER_FRAME)
        return items if len(items) == frames else [{}] * frames

    def _in_groups(self, item: Dataset, sequence: int) -> list[Dataset]:
        """The items of a functional group of a frame, or else of all frames."""
        places = (item, *self._header.items(tags.SHARED))
        return next((found for one in places if (found := self._header.items(sequence, one))), [])

    def _sources(self, item: Dataset) -> list[_Source]:
        found = []
        for derivation in self._in_groups(item, tags.DERIVATION):
            for source in self._header.items(tags.SOURCE_IMAGES, derivation):
                numbers = self._header.numbers(tags.REFERENCED_FRAME, source)
                whole = tuple(int(number) for number in numbers if 0 < number < 1 << 31)
                found.append((self._header.text(tags.REFERENCED_INSTANCE, source), whole))
        return found

    def _named_for_all(self) -> set[str]:
        """Instances that the object as a whole refers to: one of which nothing is stored shows nothing."""
        return {
            self._header.text(tags.REFERENCED_INSTANCE, instance)
            for series in self._header.items(tags.REFERENCED_SERIES)
            for instance in self._header.items(tags.REFERENCED_INSTANCES, series)
        }
