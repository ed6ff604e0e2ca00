"""The one place that calls SimpleITK to read pixels, and that puts its errors and chatter into plain words."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from fedefm.data.formats import Format
from fedefm.data.limits import check_declared
from fedefm.errors import DataError

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

# What the JPEG library prints while it tries its 8-bit decoder on 12-bit DICOM frames that it then reads well.
_CHATTER = (b"Unsupported JPEG data precision", b"Invalid SOS parameters for sequential JPEG")
_stderr_lock = threading.Lock()


@dataclass(frozen=True)
class RasterHeader:
    """What SimpleITK finds in a file's header.

    Attributes:
        shape: frames, rows, columns.
        components: values a pixel, 1 or 3 or 4.
        pixel_type: its name in SimpleITK.
        spacing: of columns and rows.
        tags: the metadata the format has.
    """

    shape: tuple[int, int, int]
    components: int
    pixel_type: str
    spacing: tuple[float, ...]
    tags: dict[str, str]


def read_raster_header(path: Path, kind: Format) -> RasterHeader:
    """The header of a file, without decoding its pixels.

    Raises:
        DataError: where it cannot be read, has more than three dimensions, or declares too large a picture.
    """
    reader = _reader(path, kind)
    with _plain_words(path.name, kind):
        reader.ReadImageInformation()
    size = [int(side) for side in reader.GetSize()]
    if len(size) > 3 and max(size[3:]) > 1:
        raise DataError(f"{path.name} has {len(size)} dimensions; save one 2-D image or one stack of frames a file")
    frames, rows, columns = (1, *size[1::-1]) if len(size) == 2 else (size[2], size[1], size[0])
    check_declared(path.name, (frames, rows, columns))
    return RasterHeader(
        shape=(frames, rows, columns),
        components=reader.GetNumberOfComponents(),
        pixel_type=SimpleITK.GetPixelIDValueAsString(reader.GetPixelID()),
        spacing=tuple(reader.GetSpacing()),
        tags={key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()} if kind is Format.NIFTI else {},
    )


def decode(path: Path, kind: Format, *, name: str | None = None, chatty: bool = False) -> NDArray[np.generic]:
    """The pixels of a file: (frames, rows, columns), and a fourth axis for colour.

    Args:
        path: the file.
        kind: its format.
        name: what to call it in an error, if not its own name.
        chatty: hold back what the JPEG library prints about 12-bit frames.

    Raises:
        DataError: where SimpleITK cannot decode it.
    """
    reader = _reader(path, kind)
    with _plain_words(name or path.name, kind):
        if chatty:
            with _without_chatter():
                image = reader.Execute()
        else:
            image = reader.Execute()
    pixels: NDArray[np.generic] = SimpleITK.GetArrayFromImage(image)
    while image.GetDimension() > 3 and pixels.ndim > 3:
        pixels = pixels[0]
    return pixels[None] if image.GetDimension() == 2 else pixels


def _reader(path: Path, kind: Format) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(kind.value)  # by format, so that no other of its many readers is tried on a damaged file
    reader.SetFileName(str(path))
    return reader


@contextmanager
def _plain_words(name: str, kind: Format) -> Iterator[None]:
    """SimpleITK reports damage as a missing reader or a failed cast; say what it means."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise DataError(
            f"cannot read {name}: truncated or not a {kind.name} file; re-export it or remove it"
        ) from error


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep known noise of a C library off standard error; everything else written meanwhile is passed on."""
    with _stderr_lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            os.write(2, b"".join(line for line in caught if not line.startswith(_CHATTER)))
