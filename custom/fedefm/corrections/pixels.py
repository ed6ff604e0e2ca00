"""Some frames of a file, and those of a run that lie in several files; no more of it is in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from fedefm.data.formats.reader import Frame, Reader, Spacing
from fedefm.data.normalise import fill_padding
from fedefm.data.readers import MAX_PIXELS, open_file, read_frames
from fedefm.errors import DataError
from fedefm.inference.nifti_stack import NiftiStack
from fedefm.inference.proposals import Proposals, Source


def picked(file: Reader, numbers: Sequence[int]) -> Iterator[Frame]:
    """Frames of a file in rising order, numbers from 0 on; those that follow one another are read in one go.

    Padding gets the darkest value of its frame.

    Raises:
        DataError: one cannot be read.
    """
    for _, pairs in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in pairs]
        for frame in read_frames(file, range(run[0], run[-1] + 1)):
            yield fill_padding(frame)


def source_frames(
    source: Source, numbers: Sequence[int], moved_to: Path | None = None
) -> Iterator[tuple[Frame, Reader]]:
    """Frames of a run in rising order, numbers from 1 on, each with its file; files are held against their hashes.

    Raises:
        DataError: a file has gone or was changed, or a frame cannot be read.
    """
    places = [(*source.holding(number), number) for number in numbers]
    for file, group in groupby(places, lambda place: place[0]):
        reader = source.open(file, moved_to)
        for frame in picked(reader, [number for _, number, _ in group]):
            yield frame, reader


def stacked(
    source: Source, numbers: Sequence[int], shape: tuple[int, int], moved_to: Path | None = None
) -> tuple[Float32[np.ndarray, "f h w"], Spacing | None]:
    """The same as one stack, and millimetres of a pixel where all files agree.

    Raises:
        DataError: as `source_frames`; or a frame is of another size, or there are too many.
    """
    check_count(len(numbers), shape)
    frames, spacings = np.empty((len(numbers), *shape), np.float32), set[Spacing | None]()
    for row, (frame, reader) in zip(frames, source_frames(source, numbers, moved_to), strict=True):
        if frame.shape != shape:
            raise DataError(f"{reader.path.name}: its frames are not of the size that was segmented; segment it anew")
        row[:] = frame
        spacings.add(reader.spacing_mm)
    return frames, spacings.pop() if len(spacings) == 1 else None


def check_count(frames: int, shape: tuple[int, int]) -> None:
    """Refuse more pixels than a file may hold.

    Raises:
        DataError: so it is.
    """
    if frames * math.prod(shape) > MAX_PIXELS:
        raise DataError(f"{frames} frames of {shape[1]} x {shape[0]} are too many for one file; choose fewer")


def proposed_labels(result: Path, proposals: Proposals, numbers: Sequence[int]) -> UInt8[np.ndarray, "f h w"]:
    """The label maps of some frames of a segmented run, numbers from 1 on.

    Raises:
        DataError: the run was segmented without label maps.
    """
    shape = (proposals.rows, proposals.columns)
    labels = np.zeros((len(numbers), *shape), np.uint8)
    if (stack := result / NiftiStack.name).is_file():
        found = picked(open_file(stack), [number - 1 for number in numbers])
    elif pictures := sorted((result / "labels").glob("*.png")):
        if len(pictures) != len(proposals.frames):
            raise DataError(
                f"{result}: labels/ holds {len(pictures)} of {len(proposals.frames)}; segment the run again"
            )
        found = (next(picked(open_file(pictures[number - 1]), [0])) for number in numbers)
    else:
        raise DataError(f"{result}: holds no label maps; segment the run again with --format nifti")
    for row, frame in zip(labels, found, strict=True):
        if frame.shape != shape:
            raise DataError(f"{result}: its label maps are not of the size of the run; segment it again")
        row[:] = frame
    return labels
