"""Image and mask files to arrays, whatever their format."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fedefm.data import dicom_header as tags
from fedefm.data.complete import check_complete
from fedefm.data.decode import RasterHeader, decode, read_raster_header
from fedefm.data.dicom import (
    checked_header,
    decode_dicom,
    decode_stored,
    intended_range,
    segment_labels,
    segment_of_each_frame,
    spacing_of,
)
from fedefm.data.formats import Format, format_of
from fedefm.data.png_header import read_png_header
from fedefm.errors import DataError

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601; what a colour photograph looks like in grey

_PHOTOMETRIC, _BITS = 262, 258  # tags of TIFF 6.0


@dataclass(frozen=True)
class ImageFrames:
    """The frames of one image file, brighter for more.

    Attributes:
        frames: grey values as the device means them (rescaled, not windowed), (f, h, w), float32.
        spacing_mm: millimetres a pixel, or None where the file does not state them.
        bits: bits that a value was stored with.
        low: least value that those bits can express.
        high: greatest value that those bits can express; for floating point both are those of the file.
        format: PNG, JPEG, TIFF, NIFTI or DICOM.
    """

    frames: Float32[np.ndarray, "f h w"]
    spacing_mm: float | None
    bits: int
    low: float
    high: float
    format: str


def read_image(path: Path, *, keep_padding: bool = False) -> ImageFrames:
    """Read an image, a stack or a cine.

    Padding pixels of DICOM get the darkest value of the file, or NaN with `keep_padding`. Colour becomes luminance.
    MONOCHROME1 is turned. Rescale slope and intercept are applied, the display window is not.

    Raises:
        DataError: where the file is truncated, not what its extension says, too large, cannot be decoded, or holds NaN.
    """
    path = Path(path)
    kind = format_of(path)
    image = _read_dicom(path, keep_padding) if kind is Format.DICOM else _read_raster(path, kind)
    if not (np.isfinite(image.frames) | (keep_padding & np.isnan(image.frames))).all():
        raise DataError(f"{path.name} holds NaN or infinite pixels; re-export it or remove it")
    return image


def read_mask(path: Path) -> Int64[np.ndarray, "f h w"]:
    """Read a mask: its values as stored; of a DICOM segmentation object the segment numbers.

    Raises:
        DataError: where the file cannot be read (see `read_image`), or is in colour or not of whole numbers.
    """
    path = Path(path)
    kind = format_of(path)
    if kind is Format.DICOM:
        header = checked_header(path)
        if header.text(tags.SOP_CLASS) == tags.SEG_CLASS:
            return segment_labels(path, header)
        return _labels(decode_stored(path, header), path)
    if kind is Format.PNG:
        return _read_png_mask(path)
    check_complete(path, kind)
    _check_components(path, read_raster_header(path, kind))
    return _labels(decode(path, kind), path)


def read_shape(path: Path) -> tuple[int, int, int]:
    """Frames, rows and columns by the header alone; of a DICOM segmentation object those of its label map.

    Raises:
        DataError: where the header cannot be read, declares too large a picture or more than the file holds.
    """
    path = Path(path)
    kind = format_of(path)
    if kind is Format.PNG:
        return read_png_header(path).shape
    if kind is not Format.DICOM:
        check_complete(path, kind)
        return read_raster_header(path, kind).shape
    header = checked_header(path)
    frames, rows, columns = header.shape
    if header.text(tags.SOP_CLASS) == tags.SEG_CLASS and frames > 1:
        numbers = segment_of_each_frame(header, frames)
        frames = 1 if len(set(numbers)) == len(numbers) else frames
    return frames, rows, columns


def stated_spacing(columns: float, rows: float) -> float | None:
    """NIfTI's millimetres a pixel where both directions agree; 1 exactly is what writers put that know nothing."""
    if not 0 < columns < float("inf") or columns == rows == 1 or not abs(rows - columns) <= 0.01 * columns:
        return None
    return float(columns)


def count_values(mask: Int64[np.ndarray, "..."]) -> dict[int, int]:
    """The values of a mask and how many pixels have each."""
    if mask.size and mask.min() >= 0 and mask.max() < 1 << 16:  # far quicker than sorting
        counts = np.bincount(mask.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(mask, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _read_raster(path: Path, kind: Format) -> ImageFrames:
    if kind is Format.PNG:  # read often; its header is quicker to look into than to have SimpleITK do it
        read_png_header(path)
        spacing = None
    else:
        check_complete(path, kind)
        header = read_raster_header(path, kind)
        _check_components(path, header)
        spacing = _raster_spacing(kind, header)
    pixels = decode(path, kind)
    low, high = _raster_range(pixels)
    if kind is Format.TIFF and pixels.ndim == 3 and _white_is_zero(path):
        pixels = np.float32(low + high) - pixels.astype(np.float32)
    return ImageFrames(_grey(pixels), spacing, pixels.itemsize * 8, low, high, kind.name)


def _white_is_zero(path: Path) -> bool:
    """Whether a TIFF file is stored as DICOM's MONOCHROME1 is; SimpleITK turns images of single bits only."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[2:3] == b"\x2b" or head[3:4] == b"\x2b":  # BigTIFF has a longer head
            head += file.read(8)
        try:
            directory = ImageFileDirectory_v2(head)
            file.seek(directory.next)
            directory.load(file)
            return directory.get(_PHOTOMETRIC) == 0 and directory.get(_BITS, (1,))[0] > 1
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return False  # read it was; what its first directory says cannot be told


def _read_png_mask(path: Path) -> NDArray[np.int64]:
    header = read_png_header(path)
    labels = _labels(decode(path, Format.PNG), path)
    # A PNG of 1, 2 or 4 bits is stretched to 0 ... 255 when it is decoded; a label is the number that was stored.
    return labels // (255 // ((1 << header.bits) - 1)) if header.grey and header.bits < 8 else labels


def _read_dicom(path: Path, keep_padding: bool) -> ImageFrames:
    header = checked_header(path)
    grey = header.whole(tags.SAMPLES, 1) == 1
    frames = _grey(decode_dicom(path, header, keep_padding=keep_padding) if grey else decode_stored(path, header))
    low, high = intended_range(header)
    return ImageFrames(frames, spacing_of(header), header.whole(tags.BITS_STORED, 8), low, high, "DICOM")


def _grey(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    if pixels.ndim == 3:
        return pixels.astype(np.float32)
    return (pixels[..., :3] @ np.array(LUMINANCE)).astype(np.float32)  # a fourth channel is opacity


def _labels(pixels: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    if pixels.ndim == 4:
        if not (pixels[..., :1] == pixels[..., :3]).all():
            raise DataError(
                f"{path.name}: a mask in colour (or with a palette); save one grey channel of class numbers"
            )
        pixels = pixels[..., 0]
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels) & (np.floor(pixels) == pixels)).all():
        raise DataError(f"{path.name}: a mask of fractions or NaN; save whole class numbers")
    labels: NDArray[np.int64] = pixels.astype(np.int64)
    return labels


def _check_components(path: Path, header: RasterHeader) -> None:
    if header.components not in (1, 3, 4):
        raise DataError(f"{path.name} has {header.components} values a pixel; save it as grey or RGB")


def _raster_range(pixels: NDArray[np.generic]) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        return float(np.min(pixels)), float(np.max(pixels))
    bits, signed = 8 * pixels.itemsize, pixels.dtype.kind == "i"
    return (float(-(1 << bits - 1)), float((1 << bits - 1) - 1)) if signed else (0.0, float((1 << bits) - 1))


def _raster_spacing(kind: Format, header: RasterHeader) -> float | None:
    """Only NIfTI states millimetres."""
    return stated_spacing(*header.spacing[:2]) if kind is Format.NIFTI else None
