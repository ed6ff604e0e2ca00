"""A DICOM segmentation object as a label map."""

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import Header
from fedefm.errors import DataError


def label_map(name: str, header: Header, inside: Bool[np.ndarray, "n h w"]) -> Int64[np.ndarray, "f h w"]:
    """The segment number of each pixel, 0 outside.

    One segment may have any number of frames; several segments must have one frame each, and not overlap: nothing else
    in the object says plainly which frames belong together.

    Args:
        name: the file's name, for the message.
        header: of the object.
        inside: its stored frames.

    Raises:
        DataError: for overlapping segments, or several with several frames.
    """
    numbers = np.array(segment_of_each_frame(header, len(inside)))
    if len(set(numbers)) == 1:
        return inside * numbers[0]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{name}: several segments with several frames; export one label map (PNG or NIfTI)")
    if (inside.sum(axis=0) > 1).any():
        raise DataError(f"{name}: segments overlap; export one label map (PNG or NIfTI)")
    labels: NDArray[np.int64] = (inside * numbers[:, None, None]).sum(axis=0, keepdims=True)
    return labels


def segment_of_each_frame(header: Header, frames: int) -> list[int]:
    """Segment number of every frame of a segmentation object; in their order where the frames do not say."""
    found = []
    for item in header.items(tags.PER_FRAME):
        inner = item.get(tags.SEGMENT_OF_FRAME)
        if isinstance(inner, list) and inner:
            found.append(header.whole(tags.SEGMENT_NUMBER, values=inner[0]))
    if len(found) == frames and min(found) > 0:
        return found
    return [1] * frames if len(header.items(tags.SEGMENTS)) <= 1 else list(range(1, frames + 1))
