"""The frames of one file, one at a time, however long the run is.

A cine of 4,000 frames does not fit into memory as a whole, and SimpleITK decodes all of a DICOM file to give one frame.
So each frame is copied into a small file of its own, without the patient's data, and read as training reads a file.
"""

import gzip
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float32

from fedefm.data import dicom_header as tags
from fedefm.data.dicom import spacing_of
from fedefm.data.dicom_header import Header, read_header
from fedefm.data.formats import Format, format_of
from fedefm.data.limits import check_declared
from fedefm.data.readers import read_image, read_shape, stated_spacing
from fedefm.errors import DataError
from fedefm.inference.nifti_header import HEAD_BYTES, MAX_FRAMES, Geometry, NiftiHeader, one_frame, parse_header

Frame = Float32[np.ndarray, "h w"]
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # JPEG and JPEG-LS; JPEG 2000
_METRES, _MICRONS = 1, 3  # of NIfTI's xyzt_units
_KEPT = frozenset({0x0028_0000 | low for low in range(0x10000)} - {tags.FRAMES})
_KEPT_TOO = frozenset(
    {tags.SOP_CLASS, tags.SOP_INSTANCE, 0x5200_9229}
)  # what holds for all frames of an enhanced object


@dataclass(frozen=True)
class FrameFile:
    """A file of one or more frames.

    Attributes:
        path: the file.
        shape: frames, rows, columns.
        spacing_mm: millimetres a pixel, or None where the file does not state them.
        geometry: how it lies in space.
        kind: its format.
    """

    path: Path
    shape: tuple[int, int, int]
    spacing_mm: float | None
    geometry: Geometry
    kind: Format

    def frames(self) -> Iterator[Frame]:
        """Every frame in order: grey values, brighter for more.

        As `fedefm.data.readers.read_image` gives them, but for padding in a cine, which is NaN.

        Raises:
            DataError: a frame cannot be read.
        """
        if self.shape[0] > 1 and self.kind is Format.DICOM:
            yield from _dicom_frames(self.path)
        elif self.shape[0] > 1 and self.kind is Format.NIFTI:
            yield from _nifti_frames(self.path)
        else:
            yield from read_image(self.path).frames


def open_file(path: Path) -> FrameFile:
    """Look into a file's header.

    Raises:
        DataError: it cannot be read, or declares too large a picture or too many frames.
    """
    kind = format_of(path)
    if kind is Format.DICOM:
        header = read_header(path)
        if header.text(tags.SOP_CLASS) == tags.SEG_CLASS:
            raise DataError(f"{path.name} is a segmentation, not an image; give the run that it belongs to")
        shape, spacing = header.shape, spacing_of(header)
        geometry = Geometry.flat(spacing)
    elif kind is Format.NIFTI:
        nifti = _read_nifti(path)[1]
        shape, geometry, spacing = nifti.shape, nifti.geometry, _nifti_spacing(nifti.geometry)
    else:
        shape, spacing, geometry = read_shape(path), None, Geometry.flat(None)
    check_declared(path.name, (1, *shape[1:]))
    if not 1 <= shape[0] <= MAX_FRAMES:
        raise DataError(f"{path.name} declares {shape[0]} frames, not 1 to {MAX_FRAMES}; split the run")
    return FrameFile(path, shape, spacing, geometry, kind)


def _dicom_frames(path: Path) -> Iterator[Frame]:
    header = read_header(path)
    spans = _frame_spans(path, header)
    if spans is None:  # frames that do not end on a byte, or cannot be told apart: read whole, within its limits
        yield from read_image(path).frames
        return
    with path.open("rb") as file:
        head = _head_of_one(file, header)
        for span in spans:
            yield _read_copy(path, head + _pixels_of_one(file, header, span))


def _frame_spans(path: Path, header: Header) -> list[list[tuple[int, int]]] | None:
    """For each frame, where its bytes are; None where that cannot be said.

    Raises:
        DataError: the file is shorter than it declares.
    """
    if header.fragments:
        return _fragment_spans(path, header)
    bits = header.frame_bits
    if header.text(tags.PHOTOMETRIC) == "YBR_FULL_422":
        bits = bits * 2 // 3
    start, end = header.value_starts[tags.PIXELS], header.spans[tags.PIXELS][1]
    if bits % 8:
        return None
    if start + header.frames * bits // 8 > end:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
    return [[(start + k * bits // 8, start + (k + 1) * bits // 8)] for k in range(header.frames)]


def _fragment_spans(path: Path, header: Header) -> list[list[tuple[int, int]]] | None:
    if len(header.fragments) == header.frames:
        return [[span] for span in header.fragments]
    if len(header.fragments) < header.frames:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
    found: list[list[tuple[int, int]]] = []
    with path.open("rb") as file:
        for start, end in header.fragments:
            file.seek(start)
            if file.read(4).startswith(_STREAM_STARTS):
                found.append([])
            if found:
                found[-1].append((start, end))
    return found if len(found) == header.frames else None


def _head_of_one(file: IO[bytes], header: Header) -> bytes:
    """Preamble, file meta information and the elements that describe the pixels of one frame."""
    kept = [span for tag, span in header.spans.items() if tag >> 16 == 2 or tag in _KEPT or tag in _KEPT_TOO]
    return b"\0" * 128 + b"DICM" + b"".join(_slice(file, span) for span in kept)


def _pixels_of_one(file: IO[bytes], header: Header, spans: list[tuple[int, int]]) -> bytes:
    if not header.fragments:
        value = _slice(file, spans[0])
        start = header.spans[tags.PIXELS][0]
        element = bytearray(_slice(file, (start, header.value_starts[tags.PIXELS])))
        value += bytes(len(value) % 2)
        element[-4:] = struct.pack(">I" if header.big_endian else "<I", len(value))
        return bytes(element) + value
    start = header.spans[tags.PIXELS][0]
    items = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, end - begin) + _slice(file, (begin, end)) for begin, end in spans
    )
    empty, last = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return _slice(file, (start, header.value_starts[tags.PIXELS])) + empty + items + last


def _slice(file: IO[bytes], span: tuple[int, int]) -> bytes:
    file.seek(span[0])
    return file.read(span[1] - span[0])


def _read_nifti(path: Path) -> tuple[bytes, NiftiHeader]:
    with _nifti_stream(path) as file:
        head = file.read(HEAD_BYTES)
    return head, parse_header(path.name, head)


def _nifti_frames(path: Path) -> Iterator[Frame]:
    head, header = _read_nifti(path)
    length = header.shape[1] * header.shape[2] * header.bits // 8
    with _nifti_stream(path) as file:
        file.seek(header.offset)
        for _ in range(header.shape[0]):
            pixels = file.read(length)
            if len(pixels) < length:
                raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
            yield _read_copy(path, one_frame(head, header, pixels), Format.NIFTI)


@contextmanager
def _nifti_stream(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it") from error


def _nifti_spacing(geometry: Geometry) -> float | None:
    """As training takes it, which has SimpleITK turn the units."""
    millimetres = {_METRES: 1000.0, _MICRONS: 0.001}.get(geometry.units & 7, 1.0)
    return stated_spacing(*(millimetres * side for side in geometry.pixdim[1:3]))


def _read_copy(path: Path, content: bytes, kind: Format = Format.DICOM) -> Frame:
    """Read a frame as a file of its own; an error names the run. Padding is NaN: the darkest value lies elsewhere."""
    suffix = ".dcm" if kind is Format.DICOM else ".nii"
    with tempfile.TemporaryDirectory(prefix="fedefm-") as folder:
        copy = Path(folder) / f"frame{suffix}"
        copy.write_bytes(content)
        try:
            return read_image(copy, keep_padding=kind is Format.DICOM).frames[0]
        except DataError as error:
            raise DataError(str(error).replace(copy.name, path.name)) from error
