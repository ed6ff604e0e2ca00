"""TIFF as other programs write it: pages, planes, thumbnails, corners, and numbers of few bits."""

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile  # of scikit-image
from PIL import Image

from fedefm.data.readers import read_image, read_mask, read_mask_shape, read_shape
from fedefm.errors import DataError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 60)).astype(np.uint8)
LABELS = RANDOM.integers(0, 3, (40, 60)).astype(np.uint8)


def tiff(*pages: tuple[bytes, dict[int, int | list[int]]], order: str = "<", big: bool = False) -> bytes:
    """Pages of (pixels, tags), one strip or plane after the other; all tags as 32 or 64 bits."""
    place, code, kind = ("Q", 16, 8) if big else ("I", 4, 4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HH", 8, 0) if big else b""
    body, link = bytearray(head + struct.pack(order + place, 0)), len(head)
    for pixels, tags in pages:
        planes = 3 if tags.get(284) == 2 else 1
        length = len(pixels) // planes
        tags = {**tags, 273: [len(body) + k * length for k in range(planes)], 279: [length] * planes}
        body += pixels + bytes(len(pixels) % 2)
        values: dict[int, bytes] = {}
        for tag, value in tags.items():
            numbers = value if isinstance(value, list) else [value]
            packed = struct.pack(f"{order}{len(numbers)}{place}", *numbers)
            if len(numbers) > 1:
                values[tag] = struct.pack(order + place, len(body))
                body += packed
            else:
                values[tag] = packed
        struct.pack_into(order + place, body, link, len(body))
        body += struct.pack(order + ("Q" if big else "H"), len(tags))
        for tag in sorted(tags):
            count = len(tags[tag]) if isinstance(tags[tag], list) else 1
            body += struct.pack(order + "HH" + place, tag, code, count) + values[tag]
        link = len(body)
        body += struct.pack(order + place, 0)
    assert kind in (4, 8)
    return bytes(body)


def page(pixels: np.ndarray, order: str = "<", **more: int) -> tuple[bytes, dict[int, int | list[int]]]:
    """A grey page; `more` are tags as `t284=2`."""
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    tags: dict[int, int | list[int]] = {256: pixels.shape[1], 257: pixels.shape[0], 258: 8 * pixels.itemsize, 259: 1}
    tags |= {262: 1, 277: 1, 278: pixels.shape[0]}
    return stored.tobytes(), tags | {int(tag[1:]): value for tag, value in more.items()}


def colour_page(planes: np.ndarray) -> tuple[bytes, dict[int, int | list[int]]]:
    """Three planes as one page of three samples, as tifffile writes (3, h, w)."""
    _, tags = page(planes[0], t262=2, t277=3, t284=2)
    return planes.tobytes(), {**tags, 258: [8, 8, 8]}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_pages_are_frames_in_any_order_of_bytes(tmp_path: Path, order: str, big: bool) -> None:
    stack = RANDOM.integers(0, 4096, (4, 40, 60)).astype(np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(*(page(frame, order) for frame in stack), order=order, big=big))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").frames, stack)
    assert read_shape(tmp_path / "a.tif") == stack.shape


@pytest.mark.parametrize("said", [True, False])
def test_thumbnails_are_passed_over(tmp_path: Path, said: bool, capfd: pytest.CaptureFixture[str]) -> None:
    small = page(GREY[::4, ::4], **({"t254": 1} if said else {}))
    for pages, frames in (([page(GREY), small], 1), ([page(GREY), small, page(GREY)], 2)):
        (tmp_path / "a.tif").write_bytes(tiff(*pages))
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").frames, np.stack([GREY] * frames))
        assert read_shape(tmp_path / "a.tif") == (frames, 40, 60)
    if said:
        (tmp_path / "a.tif").write_bytes(tiff(small, page(GREY)))
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").frames[0], GREY)
    assert capfd.readouterr().err == ""


def test_pages_that_differ_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(page(GREY), page(GREY[:, :50])))
    with pytest.raises(DataError, match="its 2 pages differ in size"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 8])
def test_the_numbers_of_a_mask_are_those_stored(tmp_path: Path, photometric: int, bits: int) -> None:
    labels = (LABELS == 1).astype(np.uint8) if bits == 1 else LABELS
    pixels, tags = page(labels, t262=photometric)
    if bits == 1:
        pixels, tags = np.packbits(labels, axis=1).tobytes(), {**tags, 258: 1}
    (tmp_path / "m.tif").write_bytes(tiff((pixels, tags)))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif")[0], labels)


def test_fax_packing_and_palettes_keep_the_numbers(tmp_path: Path) -> None:
    Image.fromarray(LABELS == 1).save(tmp_path / "a.tif", compression="group4")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0], LABELS == 1)
    coloured = Image.fromarray(LABELS)
    coloured.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 80] + [0] * 759)
    coloured.save(tmp_path / "b.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.tif")[0], LABELS)


def test_planes_are_colours_of_an_image_and_frames_of_a_mask_with_as_many(tmp_path: Path) -> None:
    planes = RANDOM.integers(0, 3, (3, 40, 60)).astype(np.uint8)
    (tmp_path / "m.tif").write_bytes(tiff(colour_page(planes)))
    assert read_image(tmp_path / "m.tif").frames.shape == (1, 40, 60)
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([GREY] * 3)), str(tmp_path / "run.nii"))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", tmp_path / "run.nii"), planes)
    assert read_mask_shape(tmp_path / "m.tif", tmp_path / "run.nii") == (3, 40, 60)
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "one.png"))
    with pytest.raises(DataError, match="a mask in colour"):
        read_mask(tmp_path / "m.tif", tmp_path / "one.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_first_pixel_goes_into_the_corner_that_is_said(tmp_path: Path, orientation: int) -> None:
    """By the table of TIFF 6.0: where row 0 and column 0 are."""
    stored = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: np.rot90(GREY),
        7: np.rot90(GREY.T, 2),
        8: np.rot90(GREY, -1),
    }[orientation]
    (tmp_path / "a.tif").write_bytes(tiff(page(np.ascontiguousarray(stored), t274=orientation)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").frames[0], GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0], GREY)
    assert read_shape(tmp_path / "a.tif") == (1, 40, 60)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_as_the_camera_was_held(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    smooth = (100 + 80 * np.sin(np.arange(32 * 48) / 99)).astype(np.uint8).reshape(32, 48)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(smooth).save(tmp_path / "a.jpg", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg")))
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").frames[0], expected, atol=1)
    assert read_shape(tmp_path / "a.jpg") == (1, *expected.shape)


REFUSED = {
    "a circle": (lambda data: data[:-4] + struct.pack("<I", 8 + GREY.size), "go round in a circle"),
    "a strip beyond the end": (lambda data: data.replace(struct.pack("<I", GREY.size), b"\0\0\1\0"), "truncated"),
    "no page": (lambda data: data[:4] + bytes(4) + data[8:], "holds no page"),
    "a directory beyond the end": (lambda data: data[:4] + b"\xff" * 4 + data[8:], "truncated"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_damaged_directory_is_one_line(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, word = REFUSED[kind]
    (tmp_path / "a.tif").write_bytes(spoil(tiff(page(GREY))))
    with pytest.raises(DataError, match=word) as caught:
        read_image(tmp_path / "a.tif")
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""


def test_masks_in_jpeg_are_named_within_tiff_too(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "m.tif", compression="jpeg")
    with pytest.raises(DataError, match="a mask in JPEG"):
        read_mask(tmp_path / "m.tif")


def test_a_stack_of_imagej_in_one_page_is_not_one_frame(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.tif", tiffinfo={270: "ImageJ=1.54f\nimages=20\nframes=20\n"})
    with pytest.raises(DataError, match="20 frames of ImageJ in one page"):
        read_image(tmp_path / "a.tif")


KINDS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
LAYOUTS = {  # how a picture of one value a pixel becomes what is stored, and what tifffile is told
    "grey": (lambda grey: grey, {"photometric": "minisblack"}),
    "opacity": (
        lambda grey: np.dstack([grey, grey * 0 + 1]),
        {"photometric": "minisblack", "extrasamples": ["unassalpha"], "planarconfig": "contig"},
    ),
    "opacity apart": (
        lambda grey: np.stack([grey, grey * 0 + 1]),
        {"photometric": "minisblack", "extrasamples": ["unassalpha"], "planarconfig": "separate"},
    ),
    "colour": (lambda grey: np.dstack([grey] * 3), {"photometric": "rgb"}),
    "colours apart": (lambda grey: np.stack([grey] * 3), {"photometric": "rgb", "planarconfig": "separate"}),
    "colour and opacity": (
        lambda grey: np.dstack([grey] * 3 + [grey * 0 + 1]),
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tile", "order"), [(None, ">"), ((16, 32), "<")])
def test_tiles_planes_and_opacity_keep_every_bit(
    tmp_path: Path, kind: str, tile: tuple[int, int] | None, order: str
) -> None:
    grey = (RANDOM.integers(0, 110, (40, 60)) * (1 if kind[1] == "1" else 273 if kind != "f2" else 16)).astype(kind)
    packing = {"compression": "zlib", "predictor": kind[0] != "f"} if kind[1] in "24" else {}
    for arranged, said in LAYOUTS.values():
        tifffile.imwrite(tmp_path / "a.tif", arranged(grey), tile=tile, byteorder=order, **(said | packing))
        np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0], grey)
        np.testing.assert_allclose(read_image(tmp_path / "a.tif").frames[0], grey, rtol=1e-5)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_tiles_of_a_stack_of_single_bits_stand_in_their_corner(tmp_path: Path, orientation: int) -> None:
    stack = np.stack([k == LABELS for k in (1, 2)])
    corner = [(274, 3, 1, orientation, False)]
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", tile=(16, 16), extratags=corner)
    turned = {1: stack, 3: stack[:, ::-1, ::-1], 6: np.rot90(stack, -1, (1, 2))}[orientation]
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), turned)


@pytest.mark.parametrize("photometric", ["miniswhite", "palette"])
def test_tiles_where_zero_is_white_and_of_a_palette(tmp_path: Path, photometric: str) -> None:
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1] = colours[0, 2] = 65535
    more = {"colormap": colours} if photometric == "palette" else {}
    tifffile.imwrite(tmp_path / "a.tif", LABELS, photometric=photometric, tile=(16, 16), **more)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0], LABELS)
    shades = np.array([0, 65535, 0.299 * 65535]) if more else np.array([255, 254, 253])
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").frames[0], shades[LABELS], rtol=1e-5)


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits", "tiff_adobe_deflate", None])
@pytest.mark.parametrize("predictor", [1, 2])
def test_every_packing_of_grey_beside_opacity(tmp_path: Path, packing: str | None, predictor: int) -> None:
    both = np.dstack([np.tile(GREY, (9, 9)), np.full((360, 540), 200, np.uint8)])  # long enough for 12 bits of LZW
    more = {"tiffinfo": {317: predictor}} if packing in ("tiff_lzw", "tiff_adobe_deflate") else {}
    Image.fromarray(both).save(tmp_path / "a.tif", compression=packing, **more)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif")[0], both[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").frames[0], both[..., 0])


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_packing_that_is_not_read_is_named(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS, compression="lzma", tile=tile)
    with pytest.raises(DataError, match=r"method 34925 of TIFF.*save it unpacked"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("tag", "value", "word"),
    [
        (322, 1, "tiles of 1 x 16"),
        (322, 60000, "tiles of 60000 x 16"),
        (258, 24, "24 bits a value"),
        (277, 0, "no value a pixel"),
        (262, 5, "colours of kind 5"),
        (339, 6, "of a kind that is not read"),
    ],
)
def test_tiles_that_mean_nothing_are_named(tmp_path: Path, tag: int, value: int, word: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.int16), tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags[tag].overwrite(value)
    with pytest.raises(DataError, match=word):
        read_mask(tmp_path / "a.tif")


def test_spoilt_tiles_are_one_line(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.uint16), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages[0].dataoffsets[1]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[start : start + 4] = b"oops"
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(DataError, match="its TIFF pixels are damaged"):
        read_mask(tmp_path / "a.tif")
