"""What a DICOM file declares against what is stored: frames, bits, rescaling, millimetres, and its packing."""

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from pydicom.uid import RLELossless

from fedefm.data.checks import check_sites
from fedefm.data.readers import open_file, read_frames, read_image, read_mask, read_shape
from fedefm.errors import DataError
from fedefm.inference.source import open_run
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
    sequence,
    short,
    text,
)

RANDOM = np.random.default_rng(3)
CINE = RANDOM.integers(0, 1024, (5, 8, 10)).astype(np.uint16)
LARGER = RANDOM.integers(0, 256, (5, 32, 40)).astype(np.uint8)  # the writer of JPEG 2000 wants a few pixels


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def agreed(path: Path) -> np.ndarray:
    """The frames, where everything that reads them agrees on them."""
    frames = read_image(path).frames
    assert read_shape(path) == open_file(path).shape == open_run(path).shape == frames.shape
    np.testing.assert_array_equal(np.stack(list(read_frames(open_file(path)))), frames)
    return frames


def jpeg_2000(frame: np.ndarray, folder: Path) -> bytes:
    """A stream without loss."""
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(folder / "made.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.Execute(sitk.GetImageFromArray(frame))
    return next(pydicom.encaps.generate_frames(pydicom.dcmread(folder / "made.dcm").PixelData, number_of_frames=1))


@pytest.mark.parametrize("stated", [b"", text(0x00280008, "IS", "0"), text(0x00280008, "IS", "5")])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_frames_are_counted_where_their_number_is_absent_or_0(tmp_path: Path, stated: bytes, syntax: str) -> None:
    if syntax == IMPLICIT and stated:
        stated = stated[:4] + struct.pack("<I", 2) + stated[8:]
    if syntax == BIG_ENDIAN and stated:
        stated = b"\0\x28\0\x08IS\0\2" + stated[8:]
    data = dicom(CINE, 10, syntax=syntax, frames=1, between=stated)
    np.testing.assert_array_equal(agreed(write(tmp_path / "a.dcm", data)), CINE)


def test_compressed_frames_are_counted_by_their_streams(tmp_path: Path) -> None:
    frames = LARGER
    streams = [jpeg_2000(frame, tmp_path) for frame in frames]
    halves = [part for stream in streams for part in (stream[:40], stream[40:])]  # a frame may be in several fragments
    for parts in (streams, halves):
        data = dicom(frames, 8, syntax=JPEG_2000, frames=1, pixel_element=encapsulated(*parts))
        np.testing.assert_array_equal(agreed(write(tmp_path / "a.dcm", data)), frames)


@pytest.mark.parametrize(
    ("stated", "word"), [(1, "1 frame and holds 5"), (4, "4 frames and holds 5"), (6, "6 frames and holds 5")]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_number_of_frames_that_the_pixels_contradict_is_refused(
    tmp_path: Path, stated: int, word: str, packed: bool
) -> None:
    number, frames = text(0x00280008, "IS", str(stated)), LARGER
    streams = encapsulated(*(jpeg_2000(frame, tmp_path) for frame in frames))
    more = {"syntax": JPEG_2000, "pixel_element": streams} if packed else {}
    path = write(tmp_path / "a.dcm", dicom(frames, 8, frames=1, between=number, **more))
    for read in (read_image, read_shape, lambda path: list(read_frames(open_file(path)))):
        with pytest.raises(DataError, match=word):
            read(path)


def test_half_a_frame_too_much_is_a_contradiction_and_a_few_bytes_are_padding(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 1024, (40, 50)).astype(np.uint16)
    for more, fits in ((4, True), (2000, False)):
        whole = element(0x7FE00010, "OW", pixels.tobytes() + bytes(more))
        path = write(tmp_path / "a.dcm", dicom(pixels, 10, pixel_element=whole))
        if fits:
            np.testing.assert_array_equal(agreed(path)[0], pixels)
        else:
            with pytest.raises(DataError, match="no whole number of frames"):
                read_image(path)


def test_check_and_training_tell_a_mask_of_one_frame_for_a_cine_of_five(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / "site" / part).mkdir(parents=True)
    (tmp_path / "site/dataset.json").write_text('{"classes": {"0": "background", "1": "guidewire"}}')
    write(tmp_path / "site/images/a.dcm", dicom(CINE, 10, frames=1))
    sitk.WriteImage(sitk.GetImageFromArray((CINE[0] > 500).astype(np.uint8)), str(tmp_path / "site/masks/a.png"))
    with pytest.raises(DataError, match=r"10 x 8 x 5 frames but its mask a\.png is 10 x 8"):
        check_sites({"site": tmp_path / "site"})


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(10, 9), (12, 15), (10, 12), (16, 15), (1, 0)])
def test_bits_are_taken_from_where_they_are_stored(
    tmp_path: Path, photometric: str, signed: bool, stored: int, high: int
) -> None:
    low, top = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    meant = RANDOM.integers(low, top + 1, (3, 8, 10))
    shift = high + 1 - stored
    rubbish = RANDOM.integers(0, 1 << 16, meant.shape)
    kept = ((1 << stored) - 1) << shift
    words = ((meant << shift) & kept) | (rubbish & ~kept & 0xFFFF)
    pixels = words.astype(np.uint16).view(np.int16 if signed else np.uint16)
    path = write(tmp_path / "a.dcm", dicom(pixels, stored, photometric, between=short(0x00280102, high)))
    np.testing.assert_array_equal(agreed(path), low + top - meant if photometric == "MONOCHROME1" else meant)
    np.testing.assert_array_equal(read_mask(path), meant)


def test_run_lengths_with_an_overlay_in_the_high_bits(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", dicom(CINE[0] | np.uint16(0xF400), 10))
    made = pydicom.dcmread(tmp_path / "a.dcm")
    made.compress(RLELossless)
    made.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(agreed(tmp_path / "b.dcm")[0], CINE[0])


@pytest.mark.parametrize(("stored", "high"), [(17, 16), (12, 16), (12, 5)])
def test_bits_that_do_not_fit_are_refused_by_the_name_of_their_tag(tmp_path: Path, stored: int, high: int) -> None:
    path = write(tmp_path / "a.dcm", dicom(CINE, stored, between=short(0x00280102, high)))
    with pytest.raises(DataError, match="High Bit"):
        read_image(path)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [EXPLICIT, RLE])
def test_a_label_map_is_neither_turned_nor_rescaled(tmp_path: Path, photometric: str, syntax: str) -> None:
    labels = RANDOM.integers(0, 4, (8, 10)).astype(np.uint8)
    write(tmp_path / "a.dcm", dicom(labels, 8, photometric, rescale=("0.5", "-7")))
    if syntax == RLE:
        made = pydicom.dcmread(tmp_path / "a.dcm")
        made.compress(RLELossless)
        made.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.dcm")[0], labels)


def test_numbers_of_a_palette_are_labels(tmp_path: Path) -> None:
    labels = RANDOM.integers(0, 3, (8, 10)).astype(np.uint8)
    colours = b"".join(
        element(0x00281101 + k, "US", struct.pack("<3H", 3, 0, 16))
        + element(0x00281201 + k, "OW", struct.pack("<3H", *np.roll([0, 30000, 65535], k)))
        for k in range(3)
    )
    path = write(tmp_path / "a.dcm", dicom(labels, 8, "PALETTE COLOR", between=colours))
    np.testing.assert_array_equal(read_mask(path)[0], labels)


@pytest.mark.parametrize("syntax", [EXPLICIT, RLE])
@pytest.mark.parametrize("allocated", [8, 16])
@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("wide", [False, True])
def test_an_image_shows_the_colours_of_its_palette(
    tmp_path: Path, syntax: str, allocated: int, first: int, wide: bool
) -> None:
    numbers = RANDOM.integers(0, 12, (2, 8, 10)).astype(f"u{allocated // 8}")
    table = RANDOM.integers(0, 256, (9, 3))
    colours = b"".join(
        element(0x00281101 + k, "US", struct.pack("<3H", 9, first, 16 if wide else 8))
        + element(
            0x00281201 + k,
            "OW",
            (table[:, k] * 257).astype("<u2").tobytes() if wide else table[:, k].astype("u1").tobytes(),
        )
        for k in range(3)
    )
    path = write(tmp_path / "a.dcm", dicom(numbers, allocated, "PALETTE COLOR", between=colours))
    if syntax == RLE:
        made = pydicom.dcmread(path)
        made.compress(RLELossless)
        made.save_as(path)
    shown = table[np.clip(numbers.astype(int) - first, 0, 8)] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(agreed(path), shown, atol=1e-3)
    assert (read_image(path).low, read_image(path).high) == (0, 255)
    np.testing.assert_array_equal(read_mask(path), numbers)


def test_an_icon_has_pixels_of_its_own(tmp_path: Path) -> None:
    icon = sequence(0x00880200, encapsulated(jpeg_2000(LARGER[0] // 2, tmp_path)), undefined=True)
    stream = encapsulated(jpeg_2000(LARGER[0], tmp_path))
    path = write(tmp_path / "a.dcm", dicom(LARGER[0], 8, syntax=JPEG_2000, between=icon, pixel_element=stream))
    np.testing.assert_array_equal(agreed(path)[0], LARGER[0])


@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL_422", "YBR_FULL"])
def test_colours_of_a_jfif_stream_are_its_own(tmp_path: Path, stated: str) -> None:
    ramp = np.add.outer(np.arange(32) * 4, np.arange(40) * 3).astype(np.uint8)
    colour = np.dstack([ramp, 255 - ramp, ramp // 2])
    Image.fromarray(colour).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    stream = encapsulated((tmp_path / "a.jpg").read_bytes())
    data = dicom(ramp, 8, stated, syntax=JPEG_BASELINE, pixel_element=stream, between=short(0x00280002, 3))
    shown = agreed(write(tmp_path / "a.dcm", data))[0]
    np.testing.assert_allclose(shown, colour @ [0.299, 0.587, 0.114], atol=6)


def transformation(slope: float, intercept: float = 0) -> bytes:
    inside = text(0x00281052, "DS", str(intercept)) + text(0x00281053, "DS", str(slope))
    return sequence(0x00289145, inside)


def groups(shared: bytes = b"", *frames: bytes) -> bytes:
    per_frame = sequence(0x52009230, *frames) if frames else b""
    return sequence(0x52009229, shared) + per_frame


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_each_frame_is_rescaled_by_its_own_group_or_by_the_shared_one(tmp_path: Path, photometric: str) -> None:
    own = [transformation(k, -k) if k != 2 else b"" for k in range(1, 6)]
    path = write(tmp_path / "a.dcm", dicom(CINE, 10, photometric, between=groups(transformation(0.5, 3), *own)))
    slopes, intercepts = np.array([1, 0.5, 3, 4, 5]), np.array([-1, 3, -3, -4, -5])
    stored = 1023.0 - CINE if photometric == "MONOCHROME1" else CINE
    np.testing.assert_allclose(agreed(path), stored * slopes[:, None, None] + intercepts[:, None, None], rtol=1e-6)
    image = read_image(path)
    assert (image.low, image.high) == (-5, 1023 * 5 - 5)


def measures(row: float, column: float) -> bytes:
    return sequence(0x00289110, text(0x00280030, "DS", f"{row}\\{column}"))


IMAGER = sequence(0x00289443, text(0x00181164, "DS", "0.3\\0.3"))
CENTRE = sequence(0x00189401, text(0x00189404, "DS", "0.21\\0.22"))
SPACINGS = {
    "measures": (groups(measures(0.2, 0.25) + IMAGER), (0.2, 0.25)),
    "detector": (groups(IMAGER), (0.3, 0.3)),
    "centre of the beam": (groups(IMAGER + CENTRE), (0.21, 0.22)),
    "of each frame": (groups(b"", *[measures(0.2, 0.2)] * 5), (0.2, 0.2)),
    "of frames that differ": (groups(b"", *[measures(0.2, 0.2)] * 4, measures(0.3, 0.3)), None),
}


@pytest.mark.parametrize("place", SPACINGS)
def test_millimetres_of_functional_groups(tmp_path: Path, place: str) -> None:
    path = write(tmp_path / "a.dcm", dicom(CINE, 10, between=SPACINGS[place][0]))
    assert read_image(path).spacing_mm == open_run(path).spacing_mm == SPACINGS[place][1]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_look_up_table_stands_in_place_of_the_rescaling(tmp_path: Path, photometric: str) -> None:
    table = (np.arange(1000) ** 2 // 20).astype(np.uint16)
    inside = element(0x00283002, "US", struct.pack("<3H", 1000, 10, 16)) + element(0x00283006, "OW", table.tobytes())
    path = write(tmp_path / "a.dcm", dicom(CINE, 10, photometric, between=sequence(0x00283000, inside)))
    meant = table[np.clip(CINE.astype(int) - 10, 0, 999)].astype(float)
    turned = float(table.min()) + float(table.max()) - meant
    np.testing.assert_array_equal(agreed(path), turned if photometric == "MONOCHROME1" else meant)


def test_a_damaged_table_and_a_slope_of_nothing_are_named(tmp_path: Path) -> None:
    inside = element(0x00283002, "US", struct.pack("<3H", 1000, 0, 16)) + element(0x00283006, "OW", bytes(20))
    with pytest.raises(DataError, match=r"look-up table \(0028,3000\)"):
        read_image(write(tmp_path / "a.dcm", dicom(CINE, 10, between=sequence(0x00283000, inside))))
    with pytest.raises(DataError, match="Rescale Slope"):
        read_image(write(tmp_path / "a.dcm", dicom(CINE, 10, rescale=("0", "0"))))


def test_padding_may_be_a_range(tmp_path: Path) -> None:
    limits = short(0x00280120, 1000) + short(0x00280121, 1023)
    frames = agreed_padding(write(tmp_path / "a.dcm", dicom(CINE, 10, between=limits)))
    assert (frames[CINE >= 1000] == CINE[CINE < 1000].min()).all()


def agreed_padding(path: Path) -> np.ndarray:
    frames = read_image(path).frames
    kept = np.stack(list(read_frames(open_file(path))))
    np.testing.assert_array_equal(np.nan_to_num(kept, nan=np.nanmin(kept)), frames)
    return frames


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("name", ["a.dcm", "IM0001.IMA", "1.2.840.113", "XA.7"])
def test_an_old_export_without_preamble_and_meta_information(tmp_path: Path, syntax: str, name: str) -> None:
    data = dicom(CINE, 10, syntax=syntax)
    meta = 132 + 12 + struct.unpack_from("<I", data, 140)[0]
    np.testing.assert_array_equal(agreed(write(tmp_path / name, data[meta:])), CINE)
    if syntax == EXPLICIT:
        np.testing.assert_array_equal(agreed(write(tmp_path / name, data[132:])), CINE)  # the preamble alone is missing


@pytest.mark.parametrize(("said", "really"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_the_data_set_tells_its_own_kind(tmp_path: Path, said: str, really: str) -> None:
    meta = dicom(CINE, 10, syntax=said)
    body = dicom(CINE, 10, syntax=really)
    ends = [132 + 12 + struct.unpack_from("<I", data, 140)[0] for data in (meta, body)]
    np.testing.assert_array_equal(agreed(write(tmp_path / "a.dcm", meta[: ends[0]] + body[ends[1] :])), CINE)


def test_a_bare_stream_in_place_of_items(tmp_path: Path) -> None:
    smooth = (100 + 80 * np.sin(np.arange(32 * 40) / 99)).astype(np.uint8).reshape(32, 40)
    sitk.WriteImage(sitk.GetImageFromArray(smooth), str(tmp_path / "a.jpg"))
    bare = element(0x7FE00010, "OB", (tmp_path / "a.jpg").read_bytes())
    path = write(tmp_path / "a.dcm", dicom(smooth, 8, syntax=JPEG_BASELINE, pixel_element=bare))
    np.testing.assert_array_equal(agreed(path), read_image(tmp_path / "a.jpg").frames)


REFUSED = {
    "syntax of streams, bare pixels": (
        dicom(CINE[0], 10, syntax=JPEG_2000),
        "says compressed pixels, and they are not",
    ),
    "syntax of pixels, streams": (
        dicom(CINE[0], 10, pixel_element=encapsulated(b"\xff\xd8\xff\xe0" + bytes(90))),
        "says uncompressed pixels, and they are compressed",
    ),
    "video": (dicom(CINE[0], 10, syntax="1.2.840.10008.1.2.4.103", pixel_element=encapsulated(bytes(90))), "a video"),
    "encapsulated, not packed": (
        dicom(CINE[0], 10, syntax="1.2.840.10008.1.2.1.98", pixel_element=encapsulated(bytes(90))),
        r"transfer syntax 1\.2\.840\.10008\.1\.2\.1\.98 are not read",
    ),
    "High-Throughput JPEG 2000": (
        dicom(CINE[0], 10, syntax="1.2.840.10008.1.2.4.202", pixel_element=encapsulated(b"\xff\x4f\xff\x51")),
        r"transfer syntax 1\.2\.840\.10008\.1\.2\.4\.202 are not read",
    ),
    "segmented palette": (
        dicom(CINE[0].astype(np.uint8), 8, "PALETTE COLOR", between=element(0x00281221, "OW", bytes(8))),
        "palette .* is damaged or in segments",
    ),
    "deflated": (dicom(CINE[0], 10, syntax="1.2.840.10008.1.2.1.99"), "deflated"),
    "floating point": (
        dicom(CINE[0], 10, pixel_element=element(0x7FE00008, "OW", bytes(320))),
        "pixels of floating point",
    ),
    "12 bits allocated": (
        dicom(CINE[0], 12, allocated=12, pixel_element=element(0x7FE00010, "OW", bytes(120))),
        "12 Bits Allocated",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_names_the_true_cause(tmp_path: Path, kind: str) -> None:
    data, word = REFUSED[kind]
    with pytest.raises(DataError, match=word) as caught:
        read_image(write(tmp_path / "a.dcm", data))
    assert "truncated" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_mask_that_was_compressed_with_loss_is_named(tmp_path: Path) -> None:
    labels = RANDOM.integers(0, 3, (32, 40)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "a.jpg"))
    stream = encapsulated((tmp_path / "a.jpg").read_bytes())
    path = write(tmp_path / "a.dcm", dicom(labels, 8, syntax=JPEG_BASELINE, pixel_element=stream))
    for one in (path, tmp_path / "a.jpg"):
        with pytest.raises(DataError, match="a mask in JPEG, which blurs class numbers; save it as PNG"):
            read_mask(one)
