"""DICOM files to arrays: angiography of any encoding, and segmentation objects."""

import struct
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.decode import decode
from fedefm.data.dicom_header import Header, fragment_heads, read_header
from fedefm.data.formats import Format
from fedefm.data.limits import check_declared
from fedefm.errors import DataError

_JPEG_12_BIT = "1.2.840.10008.1.2.4.51"
# All that is copied of a file whose photometric interpretation is changed; names and dates stay behind.
_PIXEL_GROUPS = frozenset({0x0002, 0x0028, 0x5200, 0x7FE0})
_PIXEL_TAGS = frozenset({tags.SOP_CLASS, tags.SOP_INSTANCE})
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS, start of frame


def checked_header(path: Path) -> Header:
    """The header of a DICOM file whose pixels are all there and of a size that may be decoded.

    Raises:
        DataError: where it is truncated, too large, or its compressed frames are of another size than it declares.
    """
    header = read_header(path)
    check_declared(path.name, header.shape)
    if not _has_all_pixels(header):
        raise DataError(f"cannot read {path.name}: truncated; re-export it or remove it")
    # A stream of a few bytes can declare 65535 x 65535 and would be decoded at that size.
    for head in fragment_heads(path, header):
        if stream_size(head) not in (None, header.shape[1:]):
            raise DataError(f"cannot read {path.name}: its frames are not of the size it declares; re-export it")
    return header


def decode_dicom(path: Path, header: Header, *, keep_padding: bool = False) -> NDArray[np.float32]:
    """The modality values of a DICOM file, frames first, turned so that more is brighter.

    Rescale slope and intercept are applied; window, VOI and presentation look-up tables are not. Padding pixels get the
    darkest value of the file, or NaN where they are to be kept apart: the rest of a cine may lie in other files.

    Raises:
        DataError: where the pixels cannot be decoded.
    """
    turned = header.text(tags.PHOTOMETRIC) == "MONOCHROME1"
    if _is_packed(header):
        values = _unpack_bits(path, header).astype(np.float32)
    else:
        stored = _decode_unturned(path, header) if turned else decode_stored(path, header)
        values = (stored != 0 if header.whole(tags.BITS_ALLOCATED) == 1 else stored).astype(np.float32)
    padded = values == _padding(header)
    if turned:
        values = np.float32(sum(intended_range(header))) - values
    if keep_padding:
        values[padded] = np.nan
    elif padded.any() and not padded.all():
        values[padded] = values[~padded].min()
    return values


def decode_stored(path: Path, header: Header, *, name: str | None = None) -> NDArray[np.generic]:
    """The values of a DICOM file as SimpleITK gives them; see `decode`."""
    chatty = header.syntax == _JPEG_12_BIT and header.whole(tags.BITS_STORED) > 8
    return decode(path, Format.DICOM, name=name, chatty=chatty)


def intended_range(header: Header) -> tuple[float, float]:
    """Least and greatest modality value that the stored bits can express."""
    bits = header.whole(tags.BITS_STORED, 8)
    stored = (-(1 << bits - 1), (1 << bits - 1) - 1) if header.whole(tags.SIGNED) else (0, (1 << bits) - 1)
    slope, intercept = _rescale(header)
    low, high = sorted(slope * value + intercept for value in stored)
    return low, high


def spacing_of(header: Header) -> float | None:
    """Millimetres a pixel where they are stated and alike in both directions, else None.

    Pixel Spacing is calibrated to the patient; Imager Pixel Spacing, its substitute, is that of the detector and not
    corrected for magnification.
    """
    for tag in (tags.PIXEL_SPACING, tags.IMAGER_SPACING):
        spacing = header.numbers(tag)
        if len(spacing) == 2 and min(spacing) > 0 and max(spacing) <= 1.01 * min(spacing) < float("inf"):
            return float(spacing[0])
    return None


def segment_labels(path: Path, header: Header) -> NDArray[np.int64]:
    """A DICOM segmentation object as label maps: segment number, 0 outside.

    One segment may have any number of frames; several segments must have one frame each, and not overlap: nothing else
    in the object says plainly which frames belong together.

    Raises:
        DataError: for fractional or overlapping segments, or several with several frames.
    """
    if header.text(tags.SEGMENTATION_TYPE) == "FRACTIONAL":
        raise DataError(f"{path.name}: a fractional segmentation; export it as BINARY")
    inside = _unpack_bits(path, header) if _is_packed(header) else decode_stored(path, header) != 0
    numbers = np.array(segment_of_each_frame(header, len(inside)))
    if len(set(numbers)) == 1:
        return inside * numbers[0]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{path.name}: several segments with several frames; export one label map (PNG or NIfTI)")
    if (inside.sum(axis=0) > 1).any():
        raise DataError(f"{path.name}: segments overlap; export one label map (PNG or NIfTI)")
    labels: NDArray[np.int64] = (inside * numbers[:, None, None]).sum(axis=0, keepdims=True)
    return labels


def stream_size(head: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where its head does not say."""
    if head.startswith(b"\xff\x4f\xff\x51") and len(head) >= 24:
        right, bottom, left, top = struct.unpack_from(">4I", head, 8)
        return bottom - top, right - left
    position = 2 if head.startswith(b"\xff\xd8") else len(head)
    while position + 9 <= len(head) and head[position] == 0xFF:
        if head[position + 1] in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">2H", head, position + 5)
            return rows, columns
        position += 2 + int(struct.unpack_from(">H", head, position + 2)[0])
    return None


def _is_packed(header: Header) -> bool:
    return header.whole(tags.BITS_ALLOCATED) == 1 and not header.fragments and not header.big_endian


def _unpack_bits(path: Path, header: Header) -> NDArray[np.bool_]:
    """Pixels of one bit each; SimpleITK leaves those after the last whole byte as its memory happens to be."""
    frames, rows, columns = header.shape
    start, end = header.value_starts[tags.PIXELS], header.spans[tags.PIXELS][1]
    packed = np.frombuffer(path.read_bytes()[start:end], np.uint8)
    bits = np.unpackbits(packed, bitorder="little", count=frames * rows * columns)
    return bits.reshape(frames, rows, columns).astype(bool)


def _decode_unturned(path: Path, header: Header) -> NDArray[np.generic]:
    # Versions of SimpleITK differ: some turn MONOCHROME1, some do not, and 2.5 refuses it with 12 bits stored. It is
    # therefore told MONOCHROME2, in a copy without the patient's data, and the turning is left to the caller.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "frames.dcm"
        copy.write_bytes(_as_monochrome2(path.read_bytes(), header))
        return decode_stored(copy, header, name=path.name)


def _as_monochrome2(data: bytes, header: Header) -> bytes:
    start = header.value_starts[tags.PHOTOMETRIC] + len("MONOCHROME")
    data = data[:start] + b"2" + data[start + 1 :]
    kept = [span for tag, span in header.spans.items() if tag >> 16 in _PIXEL_GROUPS or tag in _PIXEL_TAGS]
    return data[:132] + b"".join(data[start:end] for start, end in kept)


def _has_all_pixels(header: Header) -> bool:
    if header.fragments:
        return len(header.fragments) >= header.frames
    bits = header.frame_bits * header.frames
    if header.text(tags.PHOTOMETRIC) == "YBR_FULL_422":
        bits = bits * 2 // 3  # two pixels share their colour
    held = header.spans[tags.PIXELS][1] - header.value_starts[tags.PIXELS]
    return held * 8 >= bits


def _rescale(header: Header) -> tuple[float, float]:
    slope, intercept = header.numbers(tags.SLOPE), header.numbers(tags.INTERCEPT)
    return slope[0] if slope else 1.0, intercept[0] if intercept else 0.0


def _padding(header: Header) -> float:
    """The modality value of padding pixels; NaN, equal to nothing, where none is stated."""
    stored = header.whole(tags.PADDING, -1)
    if stored < 0:
        return float("nan")
    if header.whole(tags.SIGNED) and stored >= 1 << 15:
        stored -= 1 << 16
    slope, intercept = _rescale(header)
    return slope * stored + intercept


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
