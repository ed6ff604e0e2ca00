"""What hides beside the picture, and that no pixel changes when it is taken out."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from fedefm.data.deidentify.pixels import clean_pixels
from fedefm.data.deidentify.silo import prepare_silo
from fedefm.data.importers.collection import Options
from fedefm.data.readers import read_image
from fedefm.errors import DataError
from support.dicom_files import BIG_ENDIAN, EXPLICIT, IMPLICIT, dicom

HIDDEN = b"ZAPHOD-BEEBLEBROX "
GREY = (2000 + 1500 * np.sin(np.add.outer(np.arange(48) / 9, np.arange(64) / 7))).astype(np.uint16)


def in_spare_bits(dataset: Dataset) -> None:
    words = np.frombuffer(dataset.PixelData, np.uint16) | 0xA000
    dataset.PixelData = words.tobytes()
    dataset.add_new(0x60000100, "US", 16)


def behind_the_last_frame(dataset: Dataset) -> None:
    dataset.PixelData += HIDDEN


def in_a_waveform(dataset: Dataset) -> None:
    item = Dataset()
    item.add_new(0x54001010, "OW", HIDDEN)
    dataset.WaveformSequence = Sequence([item])


def in_bytes_that_nobody_knows(dataset: Dataset) -> None:
    dataset.add_new(0x00189445, "OB", HIDDEN)


def in_an_overlay(dataset: Dataset) -> None:
    dataset.add_new(0x60003000, "OW", HIDDEN)


def in_an_icon(dataset: Dataset) -> None:
    item = Dataset()
    item.PixelData = HIDDEN
    item["PixelData"].VR = "OB"
    dataset.IconImageSequence = Sequence([item])


def before_the_letters(dataset: Dataset) -> None:
    dataset.preamble = (HIDDEN * 8)[:128]


def in_padding_behind(dataset: Dataset) -> None:
    dataset.add_new(0xFFFCFFFC, "OB", HIDDEN)


def in_a_jpeg(dataset: Dataset) -> None:
    said = Image.Exif()
    said[0x010E] = HIDDEN.decode()
    packed(dataset, JPEGBaseline8Bit, "JPEG", exif=said, comment=HIDDEN, quality=95)


def in_a_jpeg_2000(dataset: Dataset) -> None:
    packed(dataset, JPEG2000Lossless, "JPEG2000", comment=HIDDEN, no_jp2=True)


def packed(dataset: Dataset, syntax: str, kind: str, **options: object) -> None:
    stream = io.BytesIO()
    Image.fromarray((GREY // 16).astype(np.uint8)).save(stream, kind, **options)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    assert HIDDEN in dataset.PixelData


PLANTED = [
    in_spare_bits,
    behind_the_last_frame,
    in_a_waveform,
    in_bytes_that_nobody_knows,
    in_an_overlay,
    in_an_icon,
    before_the_letters,
    in_padding_behind,
    in_a_jpeg,
    in_a_jpeg_2000,
]


@pytest.mark.parametrize("plant", PLANTED)
def test_what_hides_is_gone_and_every_pixel_stays(tmp_path: Path, plant: Callable[[Dataset], None]) -> None:
    (tmp_path / "src").mkdir()
    path = tmp_path / "src" / "a.dcm"
    path.write_bytes(dicom(GREY, 12))
    dataset = pydicom.dcmread(path)
    plant(dataset)
    dataset.save_as(path)
    before = read_image(path).frames
    prepare_silo(tmp_path / "src", tmp_path / "dst", Options(), accept_text=True)
    (written,) = (tmp_path / "dst" / "unlabelled").iterdir()
    assert HIDDEN[:12] not in written.read_bytes()
    np.testing.assert_array_equal(read_image(written).frames, before)
    if plant is in_spare_bits:
        assert np.frombuffer(pydicom.dcmread(written).PixelData, np.uint16).max() < 1 << 12


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("kind", ["u2", "i2"])
def test_values_of_any_order_and_sign_stay(tmp_path: Path, syntax: str, kind: str) -> None:
    values = (GREY.astype(np.int32) - (2048 if kind == "i2" else 0)).astype(kind)
    (tmp_path / "a.dcm").write_bytes(dicom(values, 12, syntax=syntax))
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    whole = dataset.PixelData
    clean_pixels(dataset)
    assert dataset.PixelData == whole


def test_an_overlay_within_compressed_pixels_is_held_back(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(GREY, 12))
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    in_a_jpeg(dataset)
    dataset.add_new(0x60000100, "US", 16)
    with pytest.raises(DataError, match="overlay lies in the bits"):
        clean_pixels(dataset)
