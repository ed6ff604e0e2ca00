"""NRRD, MetaImage, NumPy and bitmaps: what annotation tools write."""

import bz2
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from fedefm.data.readers import open_file, read_frames, read_image, read_mask, read_shape
from fedefm.errors import DataError

RANDOM = np.random.default_rng(0)
STACK = RANDOM.integers(0, 4000, (3, 11, 14)).astype(np.uint16)
LABELS = RANDOM.integers(0, 3, (11, 14)).astype(np.uint8)


def agreed(path: Path) -> np.ndarray:
    image = read_image(path)
    assert read_shape(path) == open_file(path).shape == image.frames.shape
    np.testing.assert_array_equal(np.stack(list(read_frames(open_file(path)))), image.frames)
    np.testing.assert_array_equal(read_mask(path), image.frames)
    return image.frames


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32, np.int64])
def test_what_simpleitk_writes(tmp_path: Path, ending: str, packed: bool, kind: type) -> None:
    pixels = (STACK % 120).astype(kind)
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.3, 0.4, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"), useCompression=packed)
    np.testing.assert_array_equal(agreed(tmp_path / f"a{ending}"), pixels)
    assert read_image(tmp_path / f"a{ending}").spacing_mm == pytest.approx((0.4, 0.3))


@pytest.mark.parametrize(("encoding", "pack"), [("raw", bytes), ("gzip", gzip.compress), ("bzip2", bz2.compress)])
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_nrrd_in_two_dimensions_by_hand(tmp_path: Path, encoding: str, pack, order: str) -> None:
    head = f"NRRD0004\n# made by hand\ntype: unsigned short\ndimension: 2\nsizes: 14 11\nendian: {order}\n"
    head += f"encoding: {encoding}\nspacings: 0.2 0.3\nremark:=anything\n\n"
    pixels = STACK[0].astype("<u2" if order == "little" else ">u2").tobytes()
    (tmp_path / "a.nrrd").write_bytes(head.encode() + pack(pixels))
    np.testing.assert_array_equal(agreed(tmp_path / "a.nrrd"), STACK[:1])
    assert read_image(tmp_path / "a.nrrd").spacing_mm == (0.3, 0.2)


@pytest.mark.parametrize("pixels", [LABELS, STACK, STACK.astype(">u2"), np.asfortranarray(STACK), LABELS > 1])
def test_arrays_of_numpy(tmp_path: Path, pixels: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(agreed(tmp_path / "a.npy"), pixels if pixels.ndim == 3 else pixels[None])


@pytest.mark.parametrize("ending", [".bmp", ".gif", ".pgm"])
def test_bitmaps_keep_the_numbers(tmp_path: Path, ending: str) -> None:
    Image.fromarray(LABELS).save(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"a{ending}")[0], LABELS)
    if ending != ".pgm":
        coloured = Image.fromarray(LABELS)
        coloured.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
        coloured.save(tmp_path / f"b{ending}")
        np.testing.assert_array_equal(read_mask(tmp_path / f"b{ending}")[0], LABELS)
        assert read_image(tmp_path / f"b{ending}").frames.max() == pytest.approx(0.587 * 255)


PORTABLE = [(kind, greatest) for kind in (b"P2", b"P3", b"P5", b"P6") for greatest in (2, 3, 15, 100, 255, 256, 4095)]


@pytest.mark.parametrize(("kind", "greatest"), PORTABLE)
def test_portable_maps_keep_the_numbers_whatever_stands_for_white(tmp_path: Path, kind: bytes, greatest: int) -> None:
    values = np.dstack([LABELS] * 3) if kind in (b"P3", b"P6") else LABELS
    words = b" ".join(b"%d" % value for value in values.ravel())
    raw = values.astype(np.uint8 if greatest < 256 else ">u2").tobytes()
    head = b"%s # of a tool\n#\n14 11\n%d\n" % (kind, greatest)
    (tmp_path / "a.pnm").write_bytes(head + (words + b"\n" if kind in (b"P2", b"P3") else raw))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.pnm")[0], LABELS)
    image = read_image(tmp_path / "a.pnm")
    np.testing.assert_allclose(image.frames[0], LABELS, atol=1e-6)
    assert (image.low, image.high) == (0, greatest)


@pytest.mark.parametrize("kind", ["P1", "P4"])
def test_a_bit_map_is_white_where_a_screen_shows_white(tmp_path: Path, kind: str) -> None:
    white = LABELS > 0
    Image.fromarray(white).save(tmp_path / "a.pbm")
    if kind == "P1":
        rows = "\n".join("".join("01"[not one] for one in row) for row in white)
        (tmp_path / "a.pbm").write_text(f"P1\n14 11\n{rows}\n")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.pbm")[0], white)


RAMPS = {
    "numbers": lambda k, most: (k, k, k),
    "stretched": lambda k, most: (k * 255 // most,) * 3,
    "turned": lambda k, most: (255 - k,) * 3,
    "colours": lambda k, most: (k * 7 % 256, 255 - k, 3),
}


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("ramp", RAMPS)
def test_numbers_of_a_bmp_are_labels_and_its_colours_are_the_picture(tmp_path: Path, bits: int, ramp: str) -> None:
    labels, most = np.minimum(LABELS, (1 << bits) - 1), (1 << bits) - 1
    colours = np.array([RAMPS[ramp](k, most) for k in range(most + 1)])
    palette = b"".join(bytes([blue, green, red, 0]) for red, green, blue in colours.tolist())
    digits = ["".join(f"{value:0{bits}b}" for value in row) for row in labels[::-1]]
    rows = b"".join(int(row.ljust(-(-len(row) // 32) * 32, "0"), 2).to_bytes(-(-len(row) // 32) * 4) for row in digits)
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, 14, 11, 1, bits, 0, len(rows), 0, 0, most + 1, 0)
    (tmp_path / "a.bmp").write_bytes(head + palette + rows)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.bmp")[0], labels)
    shown = (colours @ [0.299, 0.587, 0.114])[labels]
    np.testing.assert_allclose(read_image(tmp_path / "a.bmp").frames[0], shown, atol=0.01)


@pytest.mark.parametrize("shape", [(11, 14, 1), (1, 11, 14), (1, 11, 14, 1), (1, 1, 11, 14)])
def test_axes_of_one_are_none(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", LABELS.reshape(shape))
    np.testing.assert_array_equal(agreed(tmp_path / "a.npy")[0], LABELS)


def test_frames_with_a_channel_are_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[..., None])
    np.testing.assert_array_equal(agreed(tmp_path / "a.npy"), STACK)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_numpys_header(tmp_path: Path, version: tuple[int, int]) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, LABELS, version=version)
    np.testing.assert_array_equal(agreed(tmp_path / "a.npy")[0], LABELS)


@pytest.mark.parametrize("value", [np.uint64(2**64 - 1), np.float64(1e30), np.float32(-1e30)])
def test_numbers_beyond_any_class_become_no_others(tmp_path: Path, value: np.generic) -> None:
    np.save(tmp_path / "a.npy", np.full((11, 14), value))
    with pytest.raises(DataError, match="beyond any class"):
        read_mask(tmp_path / "a.npy")


def nrrd(**fields: str) -> bytes:
    said = {"type": "uint8", "dimension": "2", "sizes": "14 11", "encoding": "raw"} | fields
    return (
        "NRRD0004\n" + "".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in said.items()) + "\n"
    ).encode()


def mha(**fields: str) -> bytes:
    said = {"NDims": "2", "DimSize": "14 11", "ElementType": "MET_UCHAR"} | fields
    said["ElementDataFile"] = said.pop("ElementDataFile", "LOCAL")  # the pixels follow it
    return "".join(f"{key} = {value}\n" for key, value in said.items()).encode()


def npy(kind: str, shape: str) -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head


REFUSED = {
    "a.nrrd": [
        (nrrd(), "truncated"),
        (nrrd(data_file="/etc/passwd"), "lie in another file"),
        (nrrd(sizes="14 x"), "header is damaged"),
        (nrrd(type="block"), "header is damaged"),
        (nrrd(encoding="ascii"), "header is damaged"),
        (nrrd(sizes="14 60000"), "above 8192"),
        (nrrd(dimension="4", sizes="2 3 14 11"), "4 dimensions"),
        (nrrd(encoding="gzip") + b"\x1f\x8b\x08rubbish", "packed pixels are damaged"),
        (b"NRRD0004\n", "header is damaged"),
    ],
    "a.mha": [
        (mha(), "truncated"),
        (mha(ElementDataFile="../other.raw"), "lie in another file"),
        (mha(ElementType="MET_STRING"), "header is damaged"),
        (mha(DimSize="0 11"), "no picture"),
        (mha(DimSize="8000 8000 8000", NDims="3"), "above 8192"),
        (b"ObjectType = Image\n", "header is damaged"),
    ],
    "a.npy": [
        (npy("|u1", "(11, 14)"), "truncated"),
        (npy("|O", "(11, 14)"), "no numbers"),
        (npy("<c8", "(11, 14)"), "no numbers"),
        (npy("|u1", "(11,)"), "1 dimensions"),
        (npy("|u1", "(11, 60000)"), "above 8192"),
        (npy("|u1", "(11, -4)"), "no picture|damaged"),
        (b"\x93NUMPY\1\0\xff\xff", "truncated"),
        (b"\x93NUMPY\1\0\4\0oops", "header is damaged"),
    ],
    "a.pgm": [
        (b"P5 14 11 255\n" + bytes(153), "truncated"),
        (b"P2 14 11 255\n" + b"1 " * 153, "truncated"),
        (b"P5 14 11 2\n" + bytes([3] * 154), "values are damaged"),
        (b"P2 14 11 2\n" + b"3 " * 154, "values are damaged"),
        (b"P5 14 11 70000\n" + bytes(400), "header is damaged"),
        (b"P5 14", "header is damaged"),
        (b"P5 14 60000 255\n" + bytes(9), "above 8192"),
        ((b"P5 14 11 255\n" + bytes(154)) * 2, "several pictures"),
    ],
    "a.bmp": [(b"BM" + bytes(60), "header is damaged")],
    "a.gif": [(b"GIF89a" + bytes(60), "header is damaged|truncated|no picture")],
}


@pytest.mark.parametrize(("name", "data", "word"), [(n, d, w) for n, kinds in REFUSED.items() for d, w in kinds])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str, data: bytes, word: str) -> None:
    (tmp_path / name).write_bytes(data)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=word) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_layers_of_slicer_and_animations_are_named(tmp_path: Path) -> None:
    head = nrrd(dimension="4", sizes="2 14 11 3", kinds="list domain domain domain")
    (tmp_path / "a.seg.nrrd").write_bytes(head + bytes(924))
    with pytest.raises(DataError, match="its segments overlap, in 2 layers"):
        read_mask(tmp_path / "a.seg.nrrd")
    first, *rest = (Image.fromarray(LABELS * k) for k in (1, 60))
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    with pytest.raises(DataError, match="an animation of 2 frames"):
        read_mask(tmp_path / "a.gif")


def test_a_bomb_is_unpacked_no_further_than_its_picture(tmp_path: Path) -> None:
    import tracemalloc

    for name, head, pack in (
        ("a.nrrd", nrrd(encoding="gzip"), gzip.compress),
        ("b.nrrd", nrrd(encoding="bzip2"), bz2.compress),
        ("c.mha", mha(CompressedData="True"), lambda data: __import__("zlib").compress(data)),
    ):
        (tmp_path / name).write_bytes(head + pack(bytes(1 << 26)))
        tracemalloc.start()
        assert not read_mask(tmp_path / name).any()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 4 << 20
