"""Every format to the same numbers, and every damaged file to one plain line."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from fedefm.data.normalise import normalise
from fedefm.data.readers import count_values, open_file, read_frames, read_image, read_mask, read_shape
from fedefm.errors import DataError
from support.dicom_files import dicom

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (24, 30)).astype(np.uint8)
SMOOTH = (128 + 100 * np.sin(np.arange(64) / 9)[:, None] * np.cos(np.arange(80) / 11)).astype(np.uint8)
LOSSLESS = (".png", ".tif", ".tiff", ".nii", ".nii.gz")


def save(pixels: np.ndarray, path: Path, *, colour: bool = False, spacing: tuple[float, ...] | None = None) -> Path:
    image = sitk.GetImageFromArray(pixels, isVector=colour)
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


def png(bits: int, colour: int, rows: list[bytes], width: int, extra: bytes = b"") -> bytes:
    """A PNG file byte by byte; each row already packed."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def palette(colours: bytes) -> bytes:
    return struct.pack(">I", len(colours)) + b"PLTE" + colours + struct.pack(">I", zlib.crc32(b"PLTE" + colours))


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_formats_are_bit_exact(tmp_path: Path, suffix: str, dtype: type) -> None:
    pixels = GREY.astype(dtype) * (257 if dtype is np.uint16 else 1)
    path = save(pixels, tmp_path / f"a{suffix}")
    found = read_image(path)
    np.testing.assert_array_equal(found.frames, pixels[None].astype(np.float32))
    assert (found.bits, found.low, found.high) == (8 * pixels.itemsize, 0, np.iinfo(dtype).max)
    assert read_shape(path) == (1, 24, 30)
    np.testing.assert_array_equal(read_mask(path), pixels[None].astype(np.int64))


def test_jpeg_is_close(tmp_path: Path) -> None:
    found = read_image(save(SMOOTH, tmp_path / "a.JPG"))
    assert np.abs(found.frames[0] - SMOOTH).max() <= 6
    assert found.format == "JPEG"


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz"])
def test_a_stack_is_frames(tmp_path: Path, suffix: str) -> None:
    stack = RANDOM.integers(0, 4096, (5, 12, 17)).astype(np.uint16)
    path = save(stack, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(path).frames, stack)
    assert read_shape(path) == (5, 12, 17)


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz", ".dcm"])
def test_some_frames_are_those_of_the_whole(tmp_path: Path, suffix: str) -> None:
    stack, path = RANDOM.integers(0, 4096, (6, 12, 17)).astype(np.uint16), tmp_path / f"a{suffix}"
    if suffix == ".dcm":
        path.write_bytes(dicom(stack, 12))
    else:
        save(stack, path)
    for wanted in (range(2, 5), range(5, 6), range(0, 6, 2), range(0)):
        found = list(read_frames(open_file(path), wanted))
        assert len(found) == len(wanted)
        for frame, number in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(frame, stack[number])


def test_a_fourth_dimension_is_refused(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(np.zeros((2, 4, 5), np.uint8))] * 3)
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    with pytest.raises(DataError, match="4 dimensions"):
        read_image(tmp_path / "a.nii")


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    colour = RANDOM.integers(0, 256, (9, 8, 3)).astype(np.uint8)
    for suffix in (".png", ".tif"):
        frames = read_image(save(colour, tmp_path / f"a{suffix}", colour=True)).frames
        expected = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
        np.testing.assert_allclose(frames[0], expected, atol=1e-3)


def test_opacity_is_ignored(tmp_path: Path) -> None:
    colour = np.repeat(GREY[..., None], 4, axis=2)
    colour[..., 3] = 7
    frames = read_image(save(colour, tmp_path / "a.png", colour=True)).frames
    np.testing.assert_allclose(frames[0], GREY, atol=1e-3)


def test_only_a_stated_spacing_counts(tmp_path: Path) -> None:
    assert read_image(save(GREY, tmp_path / "a.nii", spacing=(0.25, 0.25))).spacing_mm == (0.25, 0.25)
    assert read_image(save(GREY, tmp_path / "b.nii", spacing=(0.25, 0.5))).spacing_mm == (0.5, 0.25)
    assert read_image(save(GREY, tmp_path / "c.nii")).spacing_mm is None
    assert read_image(save(GREY, tmp_path / "d.png", spacing=(0.25, 0.25))).spacing_mm is None


def test_eight_and_sixteen_bits_of_one_picture_train_alike(tmp_path: Path) -> None:
    shallow = read_image(save(SMOOTH, tmp_path / "a.png")).frames
    deep = read_image(save(SMOOTH.astype(np.uint16) * 257, tmp_path / "b.png")).frames
    np.testing.assert_allclose(normalise(deep), normalise(shallow), atol=1e-3)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_mask_of_few_bits_has_the_numbers_that_were_stored(tmp_path: Path, bits: int) -> None:
    labels = np.arange(16).reshape(2, 8) % (1 << bits)
    rows = [int("".join(f"{value:0{bits}b}" for value in row), 2).to_bytes(bits, "big") for row in labels.tolist()]
    (tmp_path / "m.png").write_bytes(png(bits, 0, rows, 8))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[0], labels)


def test_a_mask_in_equal_channels_is_grey_and_one_in_colour_is_refused(tmp_path: Path) -> None:
    labels = (GREY % 3).astype(np.uint8)
    same = save(np.repeat(labels[..., None], 3, axis=2), tmp_path / "a.png", colour=True)
    np.testing.assert_array_equal(read_mask(same)[0], labels)
    (tmp_path / "b.png").write_bytes(png(8, 3, [b"\0\1\2\1"], 4, palette(b"\0\0\0\x80\0\0\0\x80\0")))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png")[0], [[0, 1, 2, 1]])
    different = np.stack([labels, labels, labels // 2], axis=2)
    with pytest.raises(DataError, match="a mask in colour"):
        read_mask(save(different, tmp_path / "c.png", colour=True))


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_mask_of_fractions_is_refused(tmp_path: Path, value: float) -> None:
    mask = np.zeros((4, 4), np.float32)
    mask[1, 1] = value
    with pytest.raises(DataError, match="whole class numbers"):
        read_mask(save(mask, tmp_path / "m.tif"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_in_plain_words(
    tmp_path: Path, suffix: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = save(RANDOM.integers(0, 256, (90, 100)).astype(np.uint8), tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=rf"cut{suffix}.*re-export it or remove it") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert "ITK" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".nii", ".nii.gz", ".dcm", "", ".txt"])
def test_noise_is_refused_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(RANDOM.bytes(4000))
    with pytest.raises(DataError, match="re-export it or remove it"):
        read_image(tmp_path / f"a{suffix}")


def test_a_wrong_extension_is_named(tmp_path: Path) -> None:
    save(SMOOTH, tmp_path / "a.jpg").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png holds JPEG, not PNG"):
        read_image(tmp_path / "a.png")


def test_a_dicom_file_that_begins_as_tiff_does_is_dicom(tmp_path: Path) -> None:
    data = b"II*\0" + dicom(GREY)[4:]
    (tmp_path / "a.dcm").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").frames[0], GREY)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tif holds DICOM, not TIFF"):
        read_image(tmp_path / "a.tif")


def test_absent_files_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot open"):
        read_image(tmp_path / "a.png")


def test_a_thumbnail_does_not_hide_a_cut(tmp_path: Path) -> None:
    """A small JPEG within a comment has an end marker of its own."""
    whole = save(SMOOTH, tmp_path / "a.jpg").read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", len(whole) + 2) + whole
    (tmp_path / "b.jpg").write_bytes(whole[:2] + comment + whole[2:])
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg").frames, read_image(tmp_path / "a.jpg").frames)
    (tmp_path / "c.jpg").write_bytes(whole[:2] + comment + whole[2:-300])
    with pytest.raises(DataError, match="truncated"):
        read_image(tmp_path / "c.jpg")


def huge_png() -> bytes:
    return png(8, 0, [b""], 60_000).replace(struct.pack(">II", 60_000, 1), struct.pack(">II", 60_000, 60_000))


def huge_nifti(side: int) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, side, side, 500, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 2, 8)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352)
    head[344:348] = b"n+1\0"
    return bytes(head)


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.png", huge_png()), ("a.nii.gz", gzip.compress(huge_nifti(30_000))), ("b.nii", huge_nifti(2000))],
    ids=["png", "nii.gz", "nii"],  # gzip writes the time into the bytes, which else would be the name of the test
)
def test_a_huge_declared_size_is_refused_before_it_is_allocated(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    for read in (read_image, read_mask, read_shape, lambda path: list(read_frames(open_file(path)))):
        with pytest.raises(DataError, match=r"above 8192 a side|truncated"):
            read(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".tif", ".mha", ".nrrd", ".npy"])
def test_what_is_no_number_is_refused_and_one_value_is_finite(tmp_path: Path, suffix: str) -> None:
    pixels = np.full((24, 30), 7, np.float32)
    path = tmp_path / f"a{suffix}"
    for value, finite in ((7, True), (np.nan, False), (np.inf, False)):
        pixels[3, 4] = value
        np.save(path, pixels) if suffix == ".npy" else save(pixels, path)
        if finite:
            assert (normalise(read_image(path).frames) == 0).all()
            continue
        for read in (read_image, lambda path: list(read_frames(open_file(path)))):
            with pytest.raises(DataError, match="NaN or infinite"):
                read(path)
        with pytest.raises(DataError, match="fractions or NaN"):
            read_mask(path)


def test_values_are_counted() -> None:
    for mask in (np.array([[0, 3], [3, 9]]), np.array([[-5, 3], [3, 1 << 40]])):
        assert count_values(mask) == {int(value): int((mask == value).sum()) for value in mask.ravel()}


@pytest.mark.parametrize("photometric", [0, 1])
def test_a_tiff_whose_zero_is_white_is_turned(tmp_path: Path, photometric: int) -> None:
    grey, path = np.arange(240, dtype=np.uint8).reshape(12, 20), tmp_path / "a.tif"
    Image.fromarray(grey).save(path, tiffinfo={262: photometric})  # 8 bits: the pixels are stored turned with the tag
    assert (grey.tobytes() in path.read_bytes()) == (photometric == 1)
    np.testing.assert_array_equal(read_image(path).frames[0], grey)
    Image.fromarray(grey.astype(np.uint16)).save(path, tiffinfo={262: photometric})  # 16 bits: they are not
    np.testing.assert_array_equal(read_image(path).frames[0], grey if photometric else 65535.0 - grey)
