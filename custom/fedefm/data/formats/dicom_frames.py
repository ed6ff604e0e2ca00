"""The frames of a DICOM file: how many there really are, where they lie, and the numbers that are stored in them."""

import re
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fedefm.data import dicom_header as tags
from fedefm.data.dicom_header import EXPLICIT, Header
from fedefm.data.formats.decode import decode
from fedefm.errors import DataError

Span = tuple[int, int]

IMAGE_IO = "GDCMImageIO"
RLE = "1.2.840.10008.1.2.5"
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")  # JPEG and JPEG-LS; JPEG 2000, bare or not
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS, start of frame
# Encapsulated without packing, JPIP, JPEG XL, High-Throughput JPEG 2000, and frames packed as in zip.
_NOT_READ = re.compile(r"1\.2\.840\.10008\.1\.2\.(1\.98|4\.9[45]|4\.11[0-2]|4\.20[0-9]|8\.1)")
_JFIF = b"\xff\xd8\xff\xe0\0\x10JFIF"
_BASELINE = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_HEAD = 4096  # bytes of a stream in which it must state its size
_XA = "1.2.840.10008.5.1.4.1.1.12.1"


class Frames:
    """Where the frames of a file lie.

    Attributes:
        count: as the pixels say it, and the header where it says so; for a file that is cut off, as the header does.

    Raises:
        DataError: the header says another number than the pixels, or the pixels are not of the kind it says.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path, self._header = path, header
        self._spans = self._fragments() if header.is_encapsulated else None
        found = self._counted() if self._spans is None else len(self._spans)
        stated = header.stated_frames
        self.count = stated or max(1, found)
        if found > self.count:
            raise DataError(
                f"cannot read {path.name}: it declares {_frames(self.count)} and holds {found}; "
                "correct Number of Frames (0028,0008), or re-export it"
            )
        self._found = found

    def check_whole(self) -> None:
        """Count the bytes, and look into the compressed streams: a few bytes of one can declare 65535 x 65535.

        Raises:
            DataError: frames are missing, or a stream is of another size.
        """
        if self._found < self.count:  # the element is whole, or its header would not have been read
            held = _frames(self._found) if self._found else "less than one"
            remedy = "correct Number of Frames (0028,0008), Rows or Columns, or re-export it"
            raise DataError(
                f"cannot read {self._path.name}: it declares {_frames(self.count)} and holds {held}; {remedy}"
            )
        for frame in self._spans or ():
            self._check_size(frame)

    def grey(self, wanted: Sequence[int]) -> NDArray[np.integer]:
        """Stored numbers of some frames of one sample a pixel, less bits that do not belong to them: (n, h, w)."""
        header = self._header
        if header.whole(tags.BITS_ALLOCATED, 8) == 1:
            return self._bits(wanted)
        raw = self._decoded(wanted, "MONOCHROME2") if self._spans is not None else self._native(wanted)
        return _significant(raw, self._path.name, header, shifted=self._spans is None)

    def colour(self, wanted: Sequence[int]) -> NDArray[np.generic]:
        """Colours of some frames: (n, h, w, 3)."""
        photometric = self._header.text(tags.PHOTOMETRIC)
        if photometric == "RGB" and self._header.syntax in _BASELINE and self._is_jfif():
            photometric = "YBR_FULL"  # JFIF has no other colours, whatever the header says
        return self._decoded(wanted, photometric)

    def _is_jfif(self) -> bool:
        with self._path.open("rb") as file:
            return any(_slice(file, frame[0])[:20].startswith(_JFIF) for frame in (self._spans or [])[:1])

    def _fragments(self) -> list[list[Span]]:
        """The fragments of each frame."""
        header = self._header
        if _NOT_READ.fullmatch(header.syntax):
            raise DataError(
                f"cannot read {self._path.name}: pixels in transfer syntax {header.syntax} are not read; "
                "re-export it uncompressed"
            )
        spans, heads = [], []
        with self._path.open("rb") as file:
            # Some writers give the stream of one frame without items.
            for start, end in header.fragments or (header.pixel_span,):
                file.seek(start)
                if end > start:
                    spans.append((start, end))
                    heads.append(file.read(12))
        if not header.fragments and not (heads and heads[0].startswith(_STREAM_STARTS)):
            raise DataError(
                f"cannot read {self._path.name}: its transfer syntax says compressed pixels, and they are not; "
                "correct the syntax, or re-export it"
            )
        starts = [k for k, head in enumerate(heads) if head.startswith(_STREAM_STARTS)]
        if header.syntax == RLE or not starts or len(spans) == header.stated_frames != len(starts):
            return [[span] for span in spans]
        return [spans[k:end] for k, end in zip(starts, [*starts[1:], len(spans)], strict=True)]

    def _counted(self) -> int:
        """Uncompressed frames by the bytes there are."""
        header = self._header
        if header.fragments:
            raise DataError(
                f"cannot read {self._path.name}: its transfer syntax says uncompressed pixels, and they are "
                "compressed; correct the syntax, or re-export it"
            )
        start, end = header.pixel_span
        bits, stated = header.frame_bits, header.stated_frames
        if not bits:
            return stated or 1
        found = (end - start) * 8 // bits
        if end - start <= _padded(bits * (stated or 1)):  # a tiny frame may fit into what pads another
            found = min(found, stated or 1)
        left = (end - start) - _padded(bits * found)
        if stated is None and found and left > max(16, bits * found // 800):
            raise DataError(
                f"cannot read {self._path.name}: its {end - start} bytes of pixels are no whole number of frames of "
                f"{bits // 8} bytes; correct Rows, Columns or Bits Allocated (0028,0010 to 0028,0100), or re-export it"
            )
        return found

    def _check_size(self, frame: Sequence[Span]) -> None:
        with self._path.open("rb") as file:
            file.seek(frame[0][0])
            head = file.read(min(_HEAD, frame[0][1] - frame[0][0]))
        header = self._header
        if stream_size(head) not in (None, (header.whole(tags.ROWS), header.whole(tags.COLUMNS))):
            raise DataError(f"cannot read {self._path.name}: its frames are not of the size it declares; re-export it")

    def _bits(self, wanted: Sequence[int]) -> NDArray[np.uint8]:
        """Pixels of one bit each, which run on from frame to frame."""
        header = self._header
        if self._spans is not None:
            return (self._decoded(wanted, "MONOCHROME2") != 0).astype(np.uint8)
        rows, columns = header.whole(tags.ROWS), header.whole(tags.COLUMNS)
        (start, _), size = header.pixel_span, rows * columns
        if header.big_endian:
            raise DataError(f"cannot read {self._path.name}: single bits in big-endian order; re-export it")
        found = np.empty((len(wanted), rows, columns), np.uint8)
        with self._path.open("rb") as file:
            for place, number in enumerate(wanted):
                first, skip = divmod(number * size, 8)
                file.seek(start + first)
                packed = np.frombuffer(file.read((skip + size + 7) // 8), np.uint8)
                found[place] = np.unpackbits(packed, bitorder="little")[skip : skip + size].reshape(rows, columns)
        return found

    def _native(self, wanted: Sequence[int]) -> NDArray[np.generic]:
        header = self._header
        bits = header.whole(tags.BITS_ALLOCATED, 8)
        if bits not in (8, 16, 32):
            raise DataError(f"cannot read {self._path.name}: {bits} Bits Allocated (0028,0100); re-export it with 16")
        order = ">" if header.big_endian else "<"
        rows, columns = header.whole(tags.ROWS), header.whole(tags.COLUMNS)
        found = np.empty((len(wanted), rows, columns), f"u{bits // 8}")
        with self._path.open("rb") as file:
            for place, number in enumerate(wanted):
                file.seek(header.pixel_span[0] + number * found[place].nbytes)
                data = file.read(found[place].nbytes)
                if len(data) < found[place].nbytes:
                    raise DataError(f"cannot read {self._path.name}: truncated; re-export it or remove it")
                values = np.frombuffer(data, f"{order}u{bits // 8}")
                found[place] = (self._ordered(values) if bits == 8 else values).reshape(rows, columns)
        return found

    def _ordered(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bytes in their order: in big-endian files those of a word are swapped."""
        if not self._header.big_endian or len(data) % 2:
            return data
        with self._path.open("rb") as file:
            file.seek(self._header.spans[tags.PIXELS][0] + 4)
            words = file.read(2) == b"OW"
        return data.view(np.uint16).byteswap().view(np.uint8) if words else data

    def _decoded(self, wanted: Sequence[int], photometric: str) -> NDArray[np.generic]:
        """Frames by SimpleITK, from a file that holds them and nothing of the patient."""
        name = self._path.name
        with tempfile.TemporaryDirectory(prefix="fedefm-") as folder, self._path.open("rb") as file:
            copy = Path(folder) / "frames.dcm"
            with copy.open("wb") as out:
                for part in self._copied(file, wanted, photometric):
                    out.write(part)
            pixels = decode(copy, IMAGE_IO, "DICOM", name=name)
        shape = (len(wanted), self._header.whole(tags.ROWS), self._header.whole(tags.COLUMNS))
        if pixels.shape[:3] != shape:
            raise DataError(f"cannot read {name}: its frames are not of the size it declares; re-export it")
        return pixels

    def _copied(self, file: BinaryIO, wanted: Sequence[int], photometric: str) -> Iterator[bytes]:
        header = self._header
        stored = header.whole(tags.BITS_STORED, 8)
        if header.syntax == RLE:  # the bits above are taken off later
            stored = header.whole(tags.BITS_ALLOCATED, 8)
        encapsulated = self._spans is not None
        yield _described(header, len(wanted), photometric, stored, header.syntax if encapsulated else EXPLICIT)
        if self._spans is None:
            values = b"".join(self._raw(file, number) for number in wanted)
            yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(values) + len(values) % 2)
            yield values + bytes(len(values) % 2)
            return
        yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        for number in wanted:  # one fragment a frame: with more of them the decoder cannot tell frames apart
            data = b"".join(_slice(file, span) for span in self._spans[number])
            yield struct.pack("<HHI", 0xFFFE, 0xE000, len(data) + len(data) % 2) + data + bytes(len(data) % 2)
        yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

    def _raw(self, file: BinaryIO, number: int) -> bytes:
        """An uncompressed frame in the order of little-endian files."""
        length = self._header.frame_bits // 8
        file.seek(self._header.pixel_span[0] + number * length)
        data = np.frombuffer(file.read(length), np.uint8)
        if self._header.big_endian and self._header.whole(tags.BITS_ALLOCATED, 8) == 16 and len(data) % 2 == 0:
            return data.view(np.uint16).byteswap().tobytes()
        return self._ordered(data).tobytes()


def _slice(file: BinaryIO, span: Span) -> bytes:
    file.seek(span[0])
    return file.read(span[1] - span[0])


def stream_size(head: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where its head does not say."""
    boxed = head.find(b"jp2c") + 4 if head.startswith(_STREAM_STARTS[2]) else 0
    if head[boxed:].startswith(b"\xff\x4f\xff\x51") and len(head) >= boxed + 24:
        right, bottom, left, top = struct.unpack_from(">4I", head, boxed + 8)
        return bottom - top, right - left
    position = 2 if head.startswith(b"\xff\xd8") else len(head)
    while position + 9 <= len(head) and head[position] == 0xFF:
        if head[position + 1] in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">2H", head, position + 5)
            return rows, columns
        position += 2 + int(struct.unpack_from(">H", head, position + 2)[0])
    return None


def _significant(raw: NDArray[np.generic], name: str, header: Header, *, shifted: bool) -> NDArray[np.integer]:
    """The stored bits of each value, at their place, with their sign; what lies beside them (overlays) is dropped."""
    allocated, stored = 8 * raw.itemsize, header.whole(tags.BITS_STORED) or header.whole(tags.BITS_ALLOCATED, 8)
    high = header.whole(tags.HIGH_BIT, stored - 1)
    if stored > allocated or not stored - 1 <= high < max(allocated, header.whole(tags.BITS_ALLOCATED, 8)):
        raise DataError(
            f"cannot read {name}: {stored} Bits Stored up to High Bit {high} (0028,0101 and 0028,0102) of {allocated}; "
            "re-export it"
        )
    shift = high + 1 - stored
    if shift and not shifted:
        raise DataError(f"cannot read {name}: compressed, with High Bit (0028,0102) {high}; re-export it uncompressed")
    words: NDArray[np.unsignedinteger] = raw.view(f"u{raw.itemsize}")
    if shift:
        words = np.right_shift(words, shift)
    if header.whole(tags.SIGNED):
        left = allocated - stored
        aligned: NDArray[np.signedinteger] = np.asarray(words << left).view(f"i{raw.itemsize}")
        return aligned >> left
    return words if stored == allocated else words & ((1 << stored) - 1)


def _described(header: Header, frames: int, photometric: str, stored: int, syntax: str) -> bytes:
    """A file up to its pixels: what describes them, and nothing else."""
    signed = header.whole(tags.SIGNED)
    meta = (
        _text(0x0002, 0x0002, b"UI", _XA) + _text(0x0002, 0x0003, b"UI", "1.2.3") + _text(0x0002, 0x0010, b"UI", syntax)
    )
    numbers = {
        tags.ROWS: header.whole(tags.ROWS),
        tags.COLUMNS: header.whole(tags.COLUMNS),
        tags.BITS_ALLOCATED: header.whole(tags.BITS_ALLOCATED, 8),
        tags.BITS_STORED: stored,
        tags.HIGH_BIT: stored - 1,
        tags.SIGNED: signed,
    }
    samples = header.whole(tags.SAMPLES, 1)
    body = _text(0x0008, 0x0016, b"UI", _XA) + _text(0x0008, 0x0018, b"UI", "1.2.3")
    body += _number(tags.SAMPLES, samples) + _text(0x0028, 0x0004, b"CS", photometric)
    if samples > 1:
        body += _number(tags.PLANAR, header.whole(tags.PLANAR))
    body += _text(0x0028, 0x0008, b"IS", str(frames)) + b"".join(_number(*pair) for pair in numbers.items())
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + length + meta + body


def _text(group: int, number: int, kind: bytes, value: str) -> bytes:
    data = value.encode("latin-1")
    data += (b"\0" if kind == b"UI" else b" ") * (len(data) % 2)
    return struct.pack("<HH2sH", group, number, kind, len(data)) + data


def _number(tag: int, value: int) -> bytes:
    return struct.pack("<HH2sHH", tag >> 16, tag & 0xFFFF, b"US", 2, value)


def _padded(bits: int) -> int:
    """Bytes of so many bits in an element, whose length is even."""
    whole = -(-bits // 8)
    return whole + whole % 2


def _frames(count: int) -> str:
    return f"{count} frame" + ("s" if count > 1 else "")
