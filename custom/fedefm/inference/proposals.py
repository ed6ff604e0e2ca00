"""`proposals.json` of a segmented run: of what file, by which weights, and the hash of each mask.

So that a person's corrections can be told from what a model said, and find their way back to the frame that they are
of. It names the source by its hash alone, as no result names a file; `inference/whereabouts.py` knows where that lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from fedefm.data.formats.reader import Reader
from fedefm.data.proposed import mask_sha256
from fedefm.data.readers import MAX_SIDE, open_file
from fedefm.errors import DataError
from fedefm.files import file_sha256, write_json
from fedefm.inference.nifti_stack import MAX_FRAMES
from fedefm.inference.predict import Labelled
from fedefm.inference.whereabouts import find, remember
from fedefm.settings import ClassNames, JsonSettings, Sha256, Share, load_small, settings_class

PROPOSALS = "proposals.json"
VERSION = 1
_MOST_BYTES = 64_000_000  # a run of 32,767 frames with ten classes needs about 10 MB


def _check_version(number: int) -> int:
    if number != VERSION:
        raise ValueError(f"must be {VERSION}, not {number}; it was written by another version of fedefm")
    return number


Version = Annotated[int, AfterValidator(_check_version)]
Side = Annotated[int, Field(gt=0, le=MAX_SIDE)]


@settings_class
class SourceFile:
    """A file of a run.

    Attributes:
        sha256: of its bytes.
        frames: that it holds.
    """

    sha256: Sha256
    frames: Annotated[int, Field(gt=0, le=MAX_FRAMES)]


@settings_class
class Source:
    """What was segmented.

    Attributes:
        files: in the order of their frames.
    """

    files: Annotated[tuple[SourceFile, ...], Field(min_length=1, max_length=MAX_FRAMES)]

    @property
    def frames(self) -> int:
        """Of all files."""
        return sum(file.frames for file in self.files)

    def holding(self, number: int) -> tuple[SourceFile, int]:
        """The file that holds a frame of the run, from 1 on, and the number of the frame in it, from 0.

        Raises:
            DataError: the run has no such frame.
        """
        left = number - 1
        for file in self.files:
            if 0 <= left < file.frames:
                return file, left
            left -= file.frames
        raise DataError(f"frame {number}: the run has {self.frames}; name others")

    def open(self, file: SourceFile, named: Path | None = None) -> Reader:
        """One of the files, with the bytes that were segmented; its place is noted for the next time.

        Args:
            file: of `files`.
            named: the file, or a folder that holds it, where it was moved.

        Raises:
            DataError: it is not there any more, or was changed.
        """
        path = find(file.sha256, named)
        remember(file.sha256, path)
        return open_file(path)


@settings_class
class Marked:
    """What was marked in a frame.

    Attributes:
        mask: `mask_sha256` of it.
        probabilities: of each class the mean of what the network gave its pixels; None where it has none.
    """

    mask: Sha256
    probabilities: tuple[Share | None, ...] = ()

    @property
    def least_sure(self) -> float:
        """The lowest of its classes' probabilities; above all of them where nothing was marked."""
        return min((one for one in self.probabilities if one is not None), default=2.0)


@settings_class
class Proposals(JsonSettings):
    """`proposals.json`.

    Attributes:
        version: of the file.
        source: what was segmented.
        model: fingerprint of the weights.
        classes: foreground class names, in label order.
        rows: of a frame.
        columns: of a frame.
        frames: in order.
    """

    version: Version
    source: Source
    model: Sha256
    classes: ClassNames
    rows: Side
    columns: Side
    frames: Annotated[tuple[Marked, ...], Field(min_length=1, max_length=MAX_FRAMES)]

    def __post_init__(self) -> None:
        if len(self.frames) != self.source.frames:
            raise ValueError(f"frames: {len(self.frames)} of a source of {self.source.frames}")


class ProposalsFile:
    """Gathers what `proposals.json` says, frame by frame.

    Args:
        folder: where to write.
        files: that hold the frames, in order.
        model: fingerprint of the weights.
        classes: foreground class names, in label order.
    """

    def __init__(self, folder: Path, files: Sequence[Reader], model: str, classes: Sequence[str]) -> None:
        self._folder, self._model, self._classes = folder, model, tuple(classes)
        self._files, self._marked = tuple(files), list[Marked]()

    def add(self, frame: Labelled) -> None:
        """Append a frame."""
        self._marked.append(Marked(mask_sha256(frame.labels), frame.probabilities))

    def close(self) -> None:
        """Write the file."""
        files = tuple(SourceFile(file_sha256(file.path), file.shape[0]) for file in self._files)
        for one, file in zip(files, self._files, strict=True):
            remember(one.sha256, file.path)
        rows, columns = self._files[0].shape[1:]
        source, marked = Source(files), tuple(self._marked)
        found = Proposals(VERSION, source, self._model, self._classes, rows, columns, marked)
        write_json(self._folder / PROPOSALS, found.to_dict())


def read_proposals(folder: Path) -> Proposals:
    """What a segmented run proposed.

    Raises:
        DataError: the folder is no result of `fedefm segment`, or of an older version.
        ConfigError: the file is damaged.
    """
    if not (folder / PROPOSALS).is_file():
        raise DataError(f"{folder}: no {PROPOSALS}, which `fedefm segment` writes; segment the run again")
    return load_small(Proposals, folder / PROPOSALS, _MOST_BYTES)
