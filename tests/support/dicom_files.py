"""DICOM files byte by byte, by PS3.5 and PS3.10: an oracle that shares no code with what it tests."""

import struct

import numpy as np

XA = "1.2.840.10008.5.1.4.1.1.12.1"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG_2000, JPEG_BASELINE, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5"
LONG = ("OB", "OW", "SQ", "UN", "UT")


def element(tag: int, kind: str, value: bytes, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """One data element; `length` overrides the true one."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    if len(value) % 2:
        value += b"\0" if kind in ("OB", "UI", "UN") else b" "
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", size) + value
    head += kind.encode()
    return head + (b"\0\0" + struct.pack(order + "I", size) if kind in LONG else struct.pack(order + "H", size)) + value


def short(tag: int, value: int, syntax: str = EXPLICIT) -> bytes:
    return element(tag, "US", struct.pack((">" if syntax == BIG_ENDIAN else "<") + "H", value & 0xFFFF), syntax)


def text(tag: int, kind: str, value: str, syntax: str = EXPLICIT) -> bytes:
    return element(tag, kind, value.encode(), syntax)


def encapsulated(*streams: bytes) -> bytes:
    """Pixel data of compressed frames."""
    streams = tuple(stream + bytes(len(stream) % 2) for stream in streams)
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(stream)) + stream for stream in (b"", *streams))
    return struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + b"\xff" * 4 + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def dicom(
    pixels: np.ndarray,
    stored: int | None = None,
    photometric: str = "MONOCHROME2",
    rescale: tuple[str, str] | None = None,
    sop_class: str = XA,
    syntax: str = EXPLICIT,
    before: bytes = b"",
    between: bytes = b"",
    rows: int | None = None,
    allocated: int | None = None,
    pixel_element: bytes | None = None,
    frames: int | None = None,
) -> bytes:
    """A DICOM file of (h, w) or (f, h, w) integers; `before` and `between` are extra elements around group 0028."""
    bits = allocated or pixels.dtype.itemsize * 8
    stored = stored or bits
    frames = frames or (len(pixels) if pixels.ndim == 3 else 1)
    meta = element(0x00020001, "OB", b"\0\1") + text(0x00020002, "UI", sop_class) + text(0x00020003, "UI", "1.2.3")
    meta += text(0x00020010, "UI", syntax)
    meta = element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta
    body = text(0x00080016, "UI", sop_class, syntax) + text(0x00080018, "UI", "1.2.3", syntax)
    body += text(0x00080060, "CS", "XA", syntax) + before
    body += short(0x00280002, 1, syntax) + text(0x00280004, "CS", photometric, syntax)
    if frames > 1:
        body += text(0x00280008, "IS", str(frames), syntax)
    body += short(0x00280010, pixels.shape[-2] if rows is None else rows, syntax)
    body += short(0x00280011, pixels.shape[-1], syntax)
    body += short(0x00280100, bits, syntax) + short(0x00280101, stored, syntax)
    body += short(0x00280102, stored - 1, syntax) + short(0x00280103, int(pixels.dtype.kind == "i"), syntax)
    if rescale:
        body += text(0x00281052, "DS", rescale[1], syntax) + text(0x00281053, "DS", rescale[0], syntax)
    raw = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == BIG_ENDIAN else "<")).tobytes()
    body += between
    body += element(0x7FE00010, "OW" if bits == 16 else "OB", raw, syntax) if pixel_element is None else pixel_element
    return b"\0" * 128 + b"DICM" + meta + body


def sequence(tag: int, *items: bytes, undefined: bool = False) -> bytes:
    """A sequence, of defined or undefined length."""
    if not undefined:
        inner = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        return element(tag, "SQ", inner)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    inner = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + item + end for item in items)
    return element(tag, "SQ", inner + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), length=0xFFFFFFFF)


def segmentation(masks: np.ndarray, segments: list[int], undefined: bool = False) -> bytes:
    """A binary DICOM SEG: (f, h, w) of 0 and 1, and the segment number of each frame."""
    packed = np.packbits(masks.astype(np.uint8).ravel(), bitorder="little")
    numbers = sorted(set(segments))
    per_frame = [sequence(0x0062000A, short(0x0062000B, number), undefined=undefined) for number in segments]
    after = text(0x00620001, "CS", "BINARY")
    after += sequence(0x00620002, *[short(0x00620004, number) for number in numbers], undefined=undefined)
    after += sequence(0x52009230, *per_frame, undefined=undefined)
    element_ = element(0x7FE00010, "OB", packed.tobytes())
    shape = masks.astype(np.uint8)
    return dicom(shape, stored=1, allocated=1, sop_class=SEG, between=after, pixel_element=element_)
