"""DICOM: known pixels in, the same modality values out, in any storage; nothing dangerous is decoded."""

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.dicom_header import read_header
from fedefm.data.formats.dicom_frames import stream_size
from fedefm.data.readers import open_file, read_frames, read_image, read_mask, read_shape
from fedefm.errors import DataError
from support.dicom_files import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    RLE,
    dicom,
    element,
    encapsulated,
    segmentation,
    sequence,
    short,
    text,
)

RANDOM = np.random.default_rng(0)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def values(stored: int, *, signed: bool, shape: tuple[int, ...] = (8, 10)) -> np.ndarray:
    """Random values of a bit depth, with its extremes."""
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    dtype = np.uint8 if stored <= 8 and not signed else np.int16 if signed else np.uint16
    found = RANDOM.integers(low, high + 1, shape)
    found.ravel()[:2] = low, high
    return found.astype(dtype)


@pytest.mark.parametrize("stored", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rescale", [None, ("2", "-1024"), ("0.5", "3"), ("-1", "0")])
def test_stored_values_become_modality_values(
    tmp_path: Path, stored: int, signed: bool, photometric: str, rescale: tuple[str, str] | None
) -> None:
    pixels = values(stored, signed=signed)
    path = write(tmp_path / "a.dcm", dicom(pixels, stored, photometric, rescale))
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    turned = low + high - pixels.astype(float) if photometric == "MONOCHROME1" else pixels.astype(float)
    slope, intercept = map(float, rescale or ("1", "0"))
    found = read_image(path)
    np.testing.assert_allclose(found.frames[0], slope * turned + intercept, rtol=1e-6)
    assert found.bits == stored
    assert sorted([slope * low + intercept, slope * high + intercept]) == [found.low, found.high]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_overlay_bits_above_the_stored_ones_are_ignored(tmp_path: Path, photometric: str) -> None:
    pixels = values(10, signed=False)
    clean = read_image(write(tmp_path / "a.dcm", dicom(pixels, 10, photometric)))
    dirty = read_image(write(tmp_path / "b.dcm", dicom(pixels | np.uint16(0xF400), 10, photometric)))
    np.testing.assert_array_equal(dirty.frames, clean.frames)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_cine_is_its_frames_in_any_byte_order(tmp_path: Path, syntax: str, photometric: str) -> None:
    cine = values(12, signed=False, shape=(7, 8, 10))
    path = write(tmp_path / "a.dcm", dicom(cine, 12, photometric, syntax=syntax))
    expected = 4095 - cine if photometric == "MONOCHROME1" else cine
    np.testing.assert_array_equal(read_image(path).frames, expected.astype(np.float32))
    assert read_shape(path) == (7, 8, 10)


@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_and_private_groups_before_the_pixels_are_stepped_over(tmp_path: Path, undefined: bool) -> None:
    pixels = values(12, signed=False)
    inner = sequence(0x00081115, text(0x0020000E, "UI", "1.2"), undefined=undefined)
    before = sequence(0x00081111, inner, short(0x00280010, 9999), undefined=undefined)
    private = element(0x00290010, "LO", b"VENDOR") + element(0x00291010, "UN", bytes(70_000))
    path = write(tmp_path / "a.dcm", dicom(pixels, 12, "MONOCHROME1", before=before, between=private))
    np.testing.assert_array_equal(read_image(path).frames[0], (4095 - pixels).astype(np.float32))


def test_padding_is_black(tmp_path: Path) -> None:
    pixels = RANDOM.integers(-500, 500, (8, 10)).astype(np.int16)
    pixels[:, :3] = -2000
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        path = write(tmp_path / "a.dcm", dicom(pixels, 16, photometric, between=short(0x00280120, -2000)))
        frames = read_image(path).frames[0]
        assert (frames[:, :3] == frames[:, 3:].min()).all()


@pytest.mark.parametrize(
    ("extra", "spacing"),
    [
        (text(0x00181164, "DS", "0.2\\0.2"), (0.2, 0.2)),
        (text(0x00181164, "DS", "0.2\\0.3"), (0.2, 0.3)),
        (text(0x00181164, "DS", "0,25\\0,25"), (0.25, 0.25)),
        (text(0x00181164, "DS", "0.2\\0"), None),
        (text(0x00181164, "DS", "wide\\0.2"), None),
        (b"", None),
    ],
)
def test_spacing_is_what_is_stated(tmp_path: Path, extra: bytes, spacing: tuple[float, float] | None) -> None:
    path = write(tmp_path / "a.dcm", dicom(values(8, signed=False), before=extra))
    assert read_image(path).spacing_mm == spacing


def test_the_calibrated_spacing_counts_before_the_detectors(tmp_path: Path) -> None:
    both = text(0x00181164, "DS", "0.2\\0.2")
    path = tmp_path / "a.dcm"
    write(path, dicom(values(8, signed=False), before=both, between=text(0x00280030, "DS", "0.15\\0.15")))
    assert read_image(path).spacing_mm == (0.15, 0.15)
    write(path, dicom(values(8, signed=False), before=both, between=text(0x00280030, "DS", "0.2\\0.4")))
    assert read_image(path).spacing_mm == (0.2, 0.4)


def test_a_window_changes_nothing(tmp_path: Path) -> None:
    pixels = values(12, signed=False)
    window = text(0x00281050, "DS", "100") + text(0x00281051, "DS", "20")
    plain = read_image(write(tmp_path / "a.dcm", dicom(pixels, 12)))
    windowed = read_image(write(tmp_path / "b.dcm", dicom(pixels, 12, between=window)))
    np.testing.assert_array_equal(windowed.frames, plain.frames)


def test_a_file_needs_no_extension(tmp_path: Path) -> None:
    pixels = values(12, signed=False)
    path = write(tmp_path / "1.2.840.99.7", dicom(pixels, 12))
    np.testing.assert_array_equal(read_image(path).frames[0], pixels.astype(np.float32))


@pytest.mark.parametrize("compressor", ["", "JPEG2000", "JPEG"])  # JPEG is its lossless kind here
def test_what_simpleitk_writes_is_read_bit_exactly(tmp_path: Path, compressor: str) -> None:
    cine = RANDOM.integers(0, 256, (3, 32, 40)).astype(np.uint8)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "a.dcm"))
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(cine))
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").frames, cine)


def rle(frame: np.ndarray) -> bytes:
    """A frame of bytes as one RLE segment of literal runs (PS3.5, annex G)."""
    data = frame.tobytes()
    runs = b"".join(bytes([len(run) - 1]) + run for run in (data[k : k + 128] for k in range(0, len(data), 128)))
    return struct.pack("<16I", 1, 64, *[0] * 14) + runs + bytes(len(runs) % 2)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_run_lengths_are_read_bit_exactly(tmp_path: Path, photometric: str) -> None:
    cine = values(8, signed=False, shape=(3, 32, 40))
    pixels = encapsulated(*map(rle, cine))
    path = write(tmp_path / "a.dcm", dicom(cine, 8, photometric, syntax=RLE, pixel_element=pixels))
    expected = 255 - cine if photometric == "MONOCHROME1" else cine
    np.testing.assert_array_equal(read_image(path).frames, expected)


def test_baseline_jpeg_decodes_as_the_jpeg_file_does(tmp_path: Path) -> None:
    frame = (100 + 80 * np.sin(np.arange(32 * 40) / 99)).astype(np.uint8).reshape(32, 40)
    sitk.WriteImage(sitk.GetImageFromArray(frame), str(tmp_path / "a.jpg"))
    pixels = encapsulated((tmp_path / "a.jpg").read_bytes())
    path = write(tmp_path / "a.dcm", dicom(frame, 8, syntax=JPEG_BASELINE, pixel_element=pixels))
    np.testing.assert_array_equal(read_image(path).frames, read_image(tmp_path / "a.jpg").frames)


@pytest.mark.parametrize("bits", [2000, 65535])
def test_more_bits_than_a_pixel_has_are_refused(tmp_path: Path, bits: int) -> None:
    frame = np.full((32, 40), 7, np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(frame), str(tmp_path / "a.jpg"))
    pixels = encapsulated((tmp_path / "a.jpg").read_bytes())
    path = write(tmp_path / "a.dcm", dicom(frame, bits, syntax=JPEG_BASELINE, pixel_element=pixels))
    with pytest.raises(DataError, match=f"{bits} bits a pixel"):
        read_image(path)


@pytest.mark.parametrize("compressor", ["", "JPEG", "JPEG2000"])
def test_colour_becomes_luminance(tmp_path: Path, compressor: str) -> None:
    y, x = np.mgrid[:32, :40]
    colour = np.stack([100 + 2 * y, 60 + 3 * x, 200 - 2 * y], axis=-1).astype(np.uint8)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "a.dcm"))
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(colour, isVector=True))
    expected = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(tmp_path / "a.dcm").frames[0] - expected).max() <= (2 if compressor else 1e-3)


def test_one_segment_is_a_mask_of_frames(tmp_path: Path) -> None:
    masks = RANDOM.integers(0, 2, (3, 8, 16))
    path = write(tmp_path / "a.dcm", segmentation(masks, [1, 1, 1]))
    np.testing.assert_array_equal(read_mask(path), masks)
    assert read_shape(path) == (3, 8, 16)


@pytest.mark.parametrize("undefined", [False, True])
def test_several_segments_of_one_image_are_one_label_map(tmp_path: Path, undefined: bool) -> None:
    labels = RANDOM.integers(0, 4, (8, 16))
    order = [3, 1, 2]  # frames need not come in the order of the segments
    path = write(tmp_path / "a.dcm", segmentation(np.stack([labels == k for k in order]), order, undefined))
    np.testing.assert_array_equal(read_mask(path)[0], labels)
    assert read_shape(path) == (1, 8, 16)


@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 7, 5), (1, 1021, 1021)])
def test_the_last_bits_of_a_segment_are_what_was_stored(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    for masks in (RANDOM.integers(0, 2, shape), np.zeros(shape, int), np.ones(shape, int)):
        path = write(tmp_path / "a.dcm", segmentation(masks, [1] * shape[0]))
        np.testing.assert_array_equal(read_mask(path), masks)


def test_padding_is_kept_apart_where_frames_are_read_one_by_one(tmp_path: Path) -> None:
    pixels = RANDOM.integers(300, 900, (2, 8, 8)).astype(np.uint16)
    pixels[1], pixels[0, :2] = 4000, 4000
    path = write(tmp_path / "a.dcm", dicom(pixels, 12, between=short(0x00280120, 4000)))
    kept = np.stack(list(read_frames(open_file(path))))
    np.testing.assert_array_equal(np.isnan(kept), pixels == 4000)
    np.testing.assert_array_equal(read_image(path).frames, np.nan_to_num(kept, nan=np.nanmin(kept)))


@pytest.mark.parametrize(("segments", "word"), [([1, 2, 1, 2], "several frames"), ([1, 2, 3, 4], "overlap")])
def test_ambiguous_segments_are_refused(tmp_path: Path, segments: list[int], word: str) -> None:
    path = write(tmp_path / "a.dcm", segmentation(np.ones((4, 8, 16)), segments))
    with pytest.raises(DataError, match=word):
        read_mask(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.4, 0.7, 0.99])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_truncated_file_is_refused_in_plain_words(tmp_path: Path, share: float, photometric: str) -> None:
    data = dicom(values(12, signed=False, shape=(3, 40, 40)), 12, photometric)
    path = write(tmp_path / "a.dcm", data[: max(1, int(len(data) * share))])
    for read in (read_image, read_mask, read_shape):
        with pytest.raises(DataError, match=r"a\.dcm.*re-export it or remove it") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_every_cut_and_flipped_byte_of_a_header_is_read_or_refused(tmp_path: Path) -> None:
    """Small cousin of a fuzzer: no crash, no hang, no other error."""
    data = dicom(values(8, signed=False), before=sequence(0x00081111, short(0x00080005, 1), undefined=True))
    path = tmp_path / "a.dcm"
    for position in range(128, len(data) - 80, 7):
        for spoilt in (data[:position], data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]):
            write(path, spoilt)
            try:
                assert read_shape(path)[0] >= 1
            except DataError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rows": 65535}, "above 8192"),
        ({"frames": 999_999_999}, "above 8192"),
        ({"rows": 0}, "no picture"),
        ({"rows": 9}, "declares 1 frame and holds less than one"),
        ({"pixel_element": element(0x7FE00010, "OW", bytes(160), length=0xFFFFFFF0)}, "truncated"),
        ({"pixel_element": b""}, "holds no image"),
    ],
)
def test_a_false_declaration_is_refused_before_anything_is_decoded(tmp_path: Path, change: dict, word: str) -> None:
    path = write(tmp_path / "a.dcm", dicom(values(12, signed=False), 12, **change))
    for read in (read_image, read_mask, read_shape):
        with pytest.raises(DataError, match=word):
            read(path)


def test_a_stream_larger_than_the_picture_is_a_bomb(tmp_path: Path) -> None:
    sizes = struct.pack(">HH8I", 47, 0, 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0)
    stream = b"\xff\x4f\xff\x51" + sizes + bytes(100)
    data = dicom(values(8, signed=False), syntax=JPEG_2000, pixel_element=encapsulated(stream))
    with pytest.raises(DataError, match="not of the size it declares"):
        read_image(write(tmp_path / "a.dcm", data))


def test_a_stream_states_its_size(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(values(8, signed=False, shape=(24, 31))), str(tmp_path / "a.jpg"))
    assert stream_size((tmp_path / "a.jpg").read_bytes()) == (24, 31)
    assert stream_size(b"\xff\xd8\xff\xf7" + struct.pack(">HBHH", 11, 8, 24, 31) + bytes(9)) == (24, 31)
    assert stream_size(b"RLE") is None
    assert stream_size(b"") is None


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    deep = b"".join(
        struct.pack("<HH", 8, 0x1111) + b"SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4 for _ in "x" * 5000
    )
    with pytest.raises(DataError, match="nested"):
        read_header(write(tmp_path / "a.dcm", dicom(values(8, signed=False), before=deep)))


def test_names_and_dates_do_not_reach_the_copy_that_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    execute = sitk.ImageFileReader.Execute
    monkeypatch.setattr(
        sitk.ImageFileReader,
        "Execute",
        lambda reader: (seen.append(Path(reader.GetFileName()).read_bytes()), execute(reader))[1],
    )
    secret = text(0x00080080, "LO", "SECRET-CLINIC") + text(0x00100010, "PN", "SECRET^NAME")
    private = element(0x00291010, "UN", b"SECRET-PRIVATE")
    pixels = values(8, signed=False)
    packed = encapsulated(rle(pixels))
    data = dicom(pixels, 8, "MONOCHROME1", before=secret, between=private, syntax=RLE, pixel_element=packed)
    path = write(tmp_path / "a.dcm", data)
    np.testing.assert_array_equal(read_image(path).frames[0], (255 - pixels).astype(np.float32))
    assert len(seen) == 1
    assert b"SECRET" not in seen[0]
    assert b"SECRET" in path.read_bytes()
