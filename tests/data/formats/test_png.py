"""PNG: what a mask holds are the stored numbers, whatever a decoder would make of them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fedefm.data.readers import read_image, read_mask, read_shape
from fedefm.errors import DataError

LABELS = np.random.default_rng(0).integers(0, 3, (11, 16)).astype(np.uint8)
WIDE = np.random.default_rng(1).integers(0, 4096, (11, 16)).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    values: np.ndarray, colour: int, extra: bytes = b"", bits: int | None = None, interlaced: bool = False
) -> bytes:
    """(h, w) or (h, w, samples) byte by byte; fewer than 8 bits are packed."""
    bits = bits or 8 * values.itemsize
    cube = values.reshape(*values.shape[:2], -1)

    def row(part: np.ndarray) -> bytes:
        if bits < 8:
            digits = "".join(f"{value:0{bits}b}" for value in part.ravel())
            return int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8), "big")
        return part.astype(f">u{bits // 8}").tobytes()

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [
        b"\0" + row(line)
        for y, x, down, right in (passes if interlaced else [(0, 0, 1, 1)])
        for line in cube[y::down, x::right]
        if line.size
    ]
    head = struct.pack(">IIBBBBB", cube.shape[1], cube.shape[0], bits, colour, 0, 0, int(interlaced))
    packed = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + packed + chunk(b"IEND", b"")


COLOURS = {
    "black, red, green": [0, 0, 0, 255, 0, 0, 0, 255, 0],
    "a ramp": [0, 0, 0, 127, 127, 127, 255, 255, 255],
    "its own numbers": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "numbers of others": [0, 0, 0, 2, 2, 2, 1, 1, 1],
    "two alike": [0, 0, 0, 0, 0, 0, 1, 1, 1],
}


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("clear", [b"", chunk(b"tRNS", b"\0\x80")])
def test_of_a_palette_the_numbers_are_the_labels(tmp_path: Path, colours: str, bits: int, clear: bytes) -> None:
    palette = chunk(b"PLTE", bytes(COLOURS[colours]))
    (tmp_path / "m.png").write_bytes(png(LABELS, 3, palette + clear, bits))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[0], LABELS)
    assert read_shape(tmp_path / "m.png") == (1, *LABELS.shape)


def test_of_an_image_the_colours_of_the_palette_count(tmp_path: Path) -> None:
    picture = Image.fromarray(LABELS)
    picture.putpalette(COLOURS["a ramp"] + [0] * 759)
    picture.save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png").frames[0], LABELS * 127.5, atol=0.51)


@pytest.mark.parametrize("kind", [b"sBIT", b"gAMA", b"cHRM", b"tRNS", b"bKGD"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_remark_on_the_values_changes_none(tmp_path: Path, kind: bytes, interlaced: bool) -> None:
    said = {b"sBIT": b"\2", b"gAMA": struct.pack(">I", 45455), b"cHRM": bytes(32), b"tRNS": b"\0\1", b"bKGD": b"\0\1"}
    (tmp_path / "m.png").write_bytes(png(LABELS, 0, chunk(kind, said[kind]), interlaced=interlaced))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[0], LABELS)
    np.testing.assert_array_equal(read_image(tmp_path / "m.png").frames[0], LABELS)


def test_significant_bits_shift_nothing_in_16_bits_and_in_colour(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(WIDE, 0, chunk(b"sBIT", b"\x0c")))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").frames[0], WIDE)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0], WIDE)
    grey = np.repeat(LABELS[..., None], 3, axis=2)
    (tmp_path / "b.png").write_bytes(png(grey, 2, chunk(b"sBIT", b"\2\2\2")))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png")[0], LABELS)


@pytest.mark.parametrize("labels", [LABELS, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("colour", [4, 6])
@pytest.mark.parametrize("interlaced", [False, True])
def test_opacity_beside_grey_is_left_out(tmp_path: Path, labels: np.ndarray, colour: int, interlaced: bool) -> None:
    most = np.full_like(labels, np.iinfo(labels.dtype).max)
    channels = [*[labels] * (1 if colour == 4 else 3), most]
    (tmp_path / "m.png").write_bytes(png(np.stack(channels, axis=2), colour, interlaced=interlaced))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[0], labels)
    np.testing.assert_allclose(read_image(tmp_path / "m.png").frames[0], labels, rtol=1e-6)


@pytest.mark.parametrize("colour", [4, 6])
@pytest.mark.parametrize("value", [0, 7])
def test_a_mask_that_is_drawn_in_the_opacity_is_refused(tmp_path: Path, colour: int, value: int) -> None:
    channels = [*[np.full_like(LABELS, value)] * (1 if colour == 4 else 3), LABELS]
    (tmp_path / "m.png").write_bytes(png(np.stack(channels, axis=2), colour))
    with pytest.raises(DataError, match="opacity says something else"):
        read_mask(tmp_path / "m.png")


def test_nothing_is_clear_where_something_is_marked(tmp_path: Path) -> None:
    opacity = np.where(LABELS > 0, 255, 0).astype(np.uint8)
    (tmp_path / "m.png").write_bytes(png(np.stack([LABELS, opacity], axis=2), 4))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[0], LABELS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_a_picture_of_a_phone_stands_as_viewers_show_it(tmp_path: Path, orientation: int, order: str) -> None:
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        order + "IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0
    )
    (tmp_path / "a.png").write_bytes(png(LABELS, 0, chunk(b"eXIf", exif)))
    with Image.open(tmp_path / "a.png") as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0], shown)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").frames[0], shown)
    assert read_shape(tmp_path / "a.png") == (1, *shown.shape)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("clear", [0, 1, 2])
def test_a_colour_that_is_clear_is_a_number_as_any_other(tmp_path: Path, bits: int, clear: int) -> None:
    colours = np.dstack([LABELS.astype(f"u{bits // 8}")] * 3)
    (tmp_path / "a.png").write_bytes(png(colours, 2, chunk(b"tRNS", struct.pack(">HHH", clear, clear, clear))))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0], LABELS)


def test_damage_is_not_called_a_cut(tmp_path: Path) -> None:
    whole = bytearray(png(np.random.default_rng(2).integers(0, 256, (40, 50)).astype(np.uint8), 0))
    whole[600] ^= 0xFF
    (tmp_path / "m.png").write_bytes(whole)
    with pytest.raises(DataError, match="damaged"):
        read_mask(tmp_path / "m.png")
    with pytest.raises(DataError, match="truncated"):
        (tmp_path / "m.png").write_bytes(whole[:700])
        read_mask(tmp_path / "m.png")
    with pytest.raises(DataError, match="PNG has no colour type 5"):
        (tmp_path / "m.png").write_bytes(png(LABELS, 5))
        read_mask(tmp_path / "m.png")
