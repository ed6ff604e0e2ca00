"""What a person calls a run: a cine, a folder with a series, a folder of pictures, one picture or a NIfTI stack."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fedefm.data.folder import is_clutter
from fedefm.data.formats.reader import Reader, Spacing
from fedefm.data.mean_frame import MeanFrame
from fedefm.data.nifti_header import Geometry
from fedefm.data.readers import open_file, read_frames
from fedefm.data.shutter import field_of_view
from fedefm.errors import DataError
from fedefm.inference.nifti_stack import MAX_FRAMES
from fedefm.inference.scale import Scale, survey


@dataclass(frozen=True)
class Run:
    """All frames of a run, in order.

    Attributes:
        files: the files that hold them.
        shape: frames, rows, columns of the whole.
    """

    files: tuple[Reader, ...]
    shape: tuple[int, int, int]

    @property
    def spacing_mm(self) -> Spacing | None:
        """Millimetres of a pixel where all files agree, else None."""
        found = {file.spacing_mm for file in self.files}
        return found.pop() if len(found) == 1 else None

    @property
    def why_no_spacing(self) -> str:
        """Why millimetres are not known."""
        stated = {file.spacing_mm for file in self.files}
        if stated == {None}:
            return "the input does not say how large its pixels are"
        return "the files of the run differ in the size of their pixels, or some do not state it"

    @property
    def geometry(self) -> Geometry:
        """How the run lies in space: that of its one file, else flat."""
        return self.files[0].geometry() if len(self.files) == 1 else Geometry.flat(self.spacing_mm)

    def frames(self) -> Iterator[tuple[Float32[np.ndarray, "h w"], Scale]]:
        """Each frame with the scale of its file, and where its picture is; training, too, scales file by file.

        Every file is read twice: once for percentiles and mean of all its frames, once to use them.

        Raises:
            DataError: a frame cannot be read.
        """
        for file in self.files:
            seen = MeanFrame()
            scale = survey(seen.watch(read_frames(file)))
            if (mean := seen.mean) is not None:
                scale = replace(scale, field=field_of_view(mean))
            for frame in read_frames(file):
                yield frame, scale


def open_run(path: Path) -> Run:
    """Look at what is to be segmented; only headers are read.

    A folder holds one DICOM series, put in order of its instance numbers, or pictures, in order of the numbers in
    their names.

    Raises:
        DataError: nothing is there or readable, files differ in size or format, a folder holds several series, or there
            are more frames than the results can hold.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = _open_folder(path) if path.is_dir() else (_open(path),)
    sizes = {file.shape[1:] for file in files}
    if len(sizes) > 1:
        raise DataError(f"{path.name}: its files differ in size; segment them one by one")
    frames = sum(file.shape[0] for file in files)
    if frames > MAX_FRAMES:
        raise DataError(f"{path.name}: {frames} frames, more than {MAX_FRAMES}; split the run")
    return Run(files, (frames, *sizes.pop()))


def _open_folder(folder: Path) -> tuple[Reader, ...]:
    paths = [path for path in folder.iterdir() if path.is_file() and not is_clutter(path)]
    if not paths:
        raise DataError(f"{folder.name}: holds no files; give a DICOM series or pictures")
    files = [_open(path) for path in sorted(paths, key=_natural)]
    if len({type(file) for file in files}) > 1:
        raise DataError(f"{folder.name}: holds files of several formats; keep those of one run")
    if len({file.series for file in files}) > 1:
        raise DataError(f"{folder.name}: holds several {files[0].format} series; give each a folder of its own")
    return tuple(sorted(files, key=lambda file: file.number))  # where numbers are alike the order of the names stays


def _open(path: Path) -> Reader:
    file = open_file(path)
    if file.segmentation:
        raise DataError(f"{path.name} is a segmentation, not an image; give the run that it belongs to")
    file.geometry()  # refused now, not when the results are written
    return file


def _natural(path: Path) -> tuple[tuple[int, str], ...]:
    """So that frame2 comes before frame10."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return tuple((int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts)
