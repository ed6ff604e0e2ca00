"""What a person calls a run: a cine, a folder with a series, a folder of pictures, one picture or a NIfTI stack."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fedefm.data.dicom_header import read_header
from fedefm.data.formats import Format
from fedefm.errors import DataError
from fedefm.inference.files import FrameFile, open_file
from fedefm.inference.nifti_header import MAX_FRAMES, Geometry
from fedefm.inference.scale import Scale, survey

_SERIES = 0x0020_000E
_INSTANCE_NUMBER = 0x0020_0013
_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "dicomdir"})


@dataclass(frozen=True)
class Run:
    """All frames of a run, in order.

    Attributes:
        files: the files that hold them.
        shape: frames, rows, columns of the whole.
    """

    files: tuple[FrameFile, ...]
    shape: tuple[int, int, int]

    @property
    def spacing_mm(self) -> float | None:
        """Millimetres a pixel where all files agree, else None."""
        found = {file.spacing_mm for file in self.files}
        return found.pop() if len(found) == 1 else None

    @property
    def geometry(self) -> Geometry:
        """How the run lies in space: that of its one file, else flat."""
        return self.files[0].geometry if len(self.files) == 1 else Geometry.flat(self.spacing_mm)

    def frames(self) -> Iterator[tuple[Float32[np.ndarray, "h w"], Scale]]:
        """Each frame with the scale of its file; training, too, scales file by file.

        Every file is read twice: once for the percentiles of all its frames, once to use them.

        Raises:
            DataError: a frame cannot be read.
        """
        for file in self.files:
            scale = survey(file.frames())
            for frame in file.frames():
                yield frame, scale


def open_run(path: Path) -> Run:
    """Look at what is to be segmented; only headers are read.

    A folder holds one DICOM series, put in order of its instance numbers, or pictures, in order of the numbers in
    their names.

    Raises:
        DataError: nothing is there or readable, files differ in size or format, or a folder holds several series.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = _open_folder(path) if path.is_dir() else (open_file(path),)
    sizes = {file.shape[1:] for file in files}
    if len(sizes) > 1:
        raise DataError(f"{path.name}: its files differ in size; segment them one by one")
    frames = sum(file.shape[0] for file in files)
    if frames > MAX_FRAMES:
        raise DataError(f"{path.name}: {frames} frames, more than {MAX_FRAMES}; split the run")
    return Run(files, (frames, *sizes.pop()))


def _open_folder(folder: Path) -> tuple[FrameFile, ...]:
    paths = [
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and p.name.lower() not in _CLUTTER
    ]
    if not paths:
        raise DataError(f"{folder.name}: holds no files; give a DICOM series or pictures")
    files = [open_file(path) for path in sorted(paths, key=_natural)]
    if len({file.kind for file in files}) > 1:
        raise DataError(f"{folder.name}: holds files of several formats; keep those of one run")
    return _in_series_order(folder, files) if files[0].kind is Format.DICOM else tuple(files)


def _in_series_order(folder: Path, files: list[FrameFile]) -> tuple[FrameFile, ...]:
    headers = [read_header(file.path) for file in files]
    if len({header.text(_SERIES) for header in headers}) > 1:
        raise DataError(f"{folder.name}: holds several DICOM series; give each a folder of its own")
    numbers = [int(n) if re.fullmatch(r"[0-9]{1,9}", n := header.text(_INSTANCE_NUMBER)) else 0 for header in headers]
    return tuple(files[k] for k in sorted(range(len(files)), key=lambda k: (numbers[k], k)))


def _natural(path: Path) -> tuple[tuple[int, str], ...]:
    """So that frame2 comes before frame10."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return tuple((int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts)
