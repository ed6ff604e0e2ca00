"""DICOM: angiography of any encoding, single images and cines; segmentation objects as masks."""

import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import Header, fragment_heads, read_header
from fedefm.data.formats.decode import decode, to_grey, to_labels
from fedefm.data.formats.dicom_frames import frame_bytes, frame_spans
from fedefm.data.formats.dicom_seg import label_map, segment_of_each_frame
from fedefm.data.formats.frame_copy import frame_copy
from fedefm.data.formats.reader import Frame, ImageFrames, Reader
from fedefm.errors import DataError

_IMAGE_IO = "GDCMImageIO"
_JPEG_12_BIT = "1.2.840.10008.1.2.4.51"
# All that is copied of a file whose photometric interpretation is changed; names and dates stay behind.
_PIXEL_GROUPS = frozenset({0x0002, 0x0028, 0x5200, 0x7FE0})
_PIXEL_TAGS = frozenset({tags.SOP_CLASS, tags.SOP_INSTANCE})
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS, start of frame


class Dicom(Reader):
    """A DICOM file with pixels, with or without an ending."""

    format = "DICOM"
    endings = (".dcm", ".dicom", "")

    @staticmethod
    def recognises(head: bytes, ending: str) -> bool:
        """By the four letters after the preamble."""
        return head[128:132] == b"DICM"

    def __init__(self, path: Path) -> None:
        self.path, self._header = path, read_header(path)
        self.shape, self.spacing_mm = self._header.shape, _spacing(self._header)
        self.segmentation = self._header.text(tags.SOP_CLASS) == tags.SEG_CLASS
        self.padded = not np.isnan(_padding(self._header))
        self.series, number = self._header.text(tags.SERIES), self._header.text(tags.INSTANCE_NUMBER)
        self.number = int(number) if re.fullmatch(r"[0-9]{1,9}", number) else 0

    @property
    def label_shape(self) -> tuple[int, int, int]:
        """Several segments of one image are one label map."""
        frames, rows, columns = self.shape
        if self.segmentation and frames > 1:
            numbers = segment_of_each_frame(self._header, frames)
            frames = 1 if len(set(numbers)) == len(numbers) else frames
        return frames, rows, columns

    def check_whole(self) -> None:
        """Count the bytes, and look into the compressed streams: a few bytes of one can declare 65535 x 65535."""
        if not _has_all_pixels(self._header):
            raise DataError(f"cannot read {self.path.name}: truncated; re-export it or remove it")
        for head in fragment_heads(self.path, self._header):
            if stream_size(head) not in (None, self.shape[1:]):
                raise DataError(
                    f"cannot read {self.path.name}: its frames are not of the size it declares; re-export it"
                )

    def image(self) -> ImageFrames:
        """The modality values: rescaled, MONOCHROME1 turned, colour as luminance, no window."""
        low, high = _intended_range(self._header)
        bits = self._header.whole(tags.BITS_STORED, 8)
        return ImageFrames(self._grey(keep_padding=False), self.spacing_mm, bits, low, high, self.format)

    def labels(self) -> Int64[np.ndarray, "f h w"]:
        """The stored numbers; of a segmentation object the segment numbers."""
        if not self.segmentation:
            return to_labels(_decode_stored(self.path, self._header), self.path.name)
        if self._header.text(tags.SEGMENTATION_TYPE) == "FRACTIONAL":
            raise DataError(f"{self.path.name}: a fractional segmentation; export it as BINARY")
        return label_map(self.path.name, self._header, self._bits())

    def stream(self, wanted: range) -> Iterator[Frame] | None:
        """Each frame as a file of its own, without the patient's data; padding is NaN.

        None where frames do not end on a byte or cannot be told apart.
        """
        spans = frame_spans(self.path, self._header)
        return None if spans is None else self._frames([spans[k] for k in wanted])

    def _frames(self, spans: list[list[tuple[int, int]]]) -> Iterator[Frame]:
        for content in frame_bytes(self.path, self._header, spans):
            with frame_copy(content, ".dcm", self.path) as copy:
                file_of_one = Dicom(copy)
                file_of_one.check_whole()
                frame = file_of_one._grey(keep_padding=True)[0]
            yield frame

    def _grey(self, *, keep_padding: bool) -> Float32[np.ndarray, "f h w"]:
        """The modality values; padding is NaN, or the darkest of them."""
        header = self._header
        if header.whole(tags.SAMPLES, 1) != 1:
            return to_grey(_decode_stored(self.path, header))
        turned = header.text(tags.PHOTOMETRIC) == "MONOCHROME1"
        if header.whole(tags.BITS_ALLOCATED) == 1:
            values = self._bits(unturned=turned).astype(np.float32)
        else:
            values = (_decode_unturned if turned else _decode_stored)(self.path, header).astype(np.float32)
        padding = values == _padding(header)
        if turned:
            values = np.float32(sum(_intended_range(header))) - values
        if keep_padding:
            values[padding] = np.nan
        elif padding.any() and not padding.all():
            values[padding] = values[~padding].min()
        return to_grey(values)

    def _bits(self, *, unturned: bool = False) -> NDArray[np.bool_]:
        """Pixels of one bit each; SimpleITK leaves those after the last whole byte as its memory happens to be."""
        header = self._header
        if header.whole(tags.BITS_ALLOCATED) != 1 or header.fragments or header.big_endian:
            return (_decode_unturned if unturned else _decode_stored)(self.path, header) != 0
        frames, rows, columns = self.shape
        start, end = header.value_starts[tags.PIXELS], header.spans[tags.PIXELS][1]
        packed = np.frombuffer(self.path.read_bytes()[start:end], np.uint8)
        bits = np.unpackbits(packed, bitorder="little", count=frames * rows * columns)
        return bits.reshape(frames, rows, columns).astype(bool)


def _decode_stored(path: Path, header: Header, *, name: str | None = None) -> NDArray[np.generic]:
    """The values of a DICOM file as SimpleITK gives them; see `decode`."""
    chatty = header.syntax == _JPEG_12_BIT and header.whole(tags.BITS_STORED) > 8
    return decode(path, _IMAGE_IO, Dicom.format, name=name, chatty=chatty)


def _intended_range(header: Header) -> tuple[float, float]:
    """Least and greatest modality value that the stored bits can express."""
    bits = header.whole(tags.BITS_STORED, 8)
    stored = (-(1 << bits - 1), (1 << bits - 1) - 1) if header.whole(tags.SIGNED) else (0, (1 << bits) - 1)
    slope, intercept = _rescale(header)
    low, high = sorted(slope * value + intercept for value in stored)
    return low, high


def _spacing(header: Header) -> float | None:
    """Millimetres a pixel where they are stated and alike in both directions, else None.

    Pixel Spacing is calibrated to the patient; Imager Pixel Spacing, its substitute, is that of the detector and not
    corrected for magnification.
    """
    for tag in (tags.PIXEL_SPACING, tags.IMAGER_SPACING):
        spacing = header.numbers(tag)
        if len(spacing) == 2 and min(spacing) > 0 and max(spacing) <= 1.01 * min(spacing) < float("inf"):
            return float(spacing[0])
    return None


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


def _decode_unturned(path: Path, header: Header) -> NDArray[np.generic]:
    # Versions of SimpleITK differ: some turn MONOCHROME1, some do not, and 2.5 refuses it with 12 bits stored. It is
    # therefore told MONOCHROME2, in a copy without the patient's data, and the turning is left to the caller.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "frames.dcm"
        copy.write_bytes(_as_monochrome2(path.read_bytes(), header))
        return _decode_stored(copy, header, name=path.name)


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
