"""Real files, where they are at hand: every encoding of angiography, coronary and retinal pictures."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from scipy import ndimage
from skimage.morphology import skeletonize

from fedefm.data.checks import check_sites
from fedefm.data.dataset import load_site
from fedefm.data.describe import describe_folder
from fedefm.data.letterbox import Letterbox, fit_masks
from fedefm.data.normalise import normalise
from fedefm.data.readers import read_image, read_mask, read_shape
from support.splits import images_of, masks_of

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="no folder ../shared/data with real images"),
    pytest.mark.filterwarnings("ignore:.*no dataset.json"),
]
XA = DATA / "xa_dicom"
CODECS = XA / "wg04_codecs"


def test_every_dicom_file_is_read_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    paths = sorted(XA.rglob("*.dcm"))
    assert len(paths) >= 13
    for path in paths:
        image = read_image(path)
        assert image.frames.shape == read_shape(path) or "Seg" in path.name
        assert image.low <= image.frames.min() < image.frames.max() <= image.high
        assert np.isfinite(normalise(image.frames)).all()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("codec", ["RLE", "JPLL", "JLSL", "J2KR"])
def test_lossless_encodings_are_bit_equal(codec: str) -> None:
    np.testing.assert_array_equal(
        read_image(CODECS / f"XA1_{codec}.dcm").frames, read_image(CODECS / "XA1_UNC.dcm").frames
    )


@pytest.mark.parametrize("codec", ["JPLY", "JLSN", "J2KI"])
def test_lossy_encodings_are_close(codec: str) -> None:
    plain, lossy = (normalise(read_image(CODECS / f"XA1_{name}.dcm").frames) for name in ("UNC", codec))
    assert np.sqrt(np.mean((plain - lossy) ** 2)) < 0.1  # of a range of 4
    assert np.corrcoef(plain.ravel(), lossy.ravel())[0, 1] > 0.995


def test_a_real_cine_has_its_frames() -> None:
    cine = read_image(XA / "xa_rubo_demo_96frames_jpegbaseline.dcm").frames
    assert cine.shape == (96, 512, 512)
    near = np.mean([np.corrcoef(cine[k].ravel(), cine[k + 1].ravel())[0, 1] for k in range(0, 90, 30)])
    assert near > 0.9  # neighbours alike: the frames are in order


@pytest.mark.parametrize("size", [96, 256])
def test_every_vessel_of_a_retina_has_its_label_in_the_square(size: int) -> None:
    for path in sorted((DATA / "chase_db1" / "masks").iterdir())[:3]:
        mask = (read_mask(path) > 0).astype(np.int64)
        box = Letterbox(*mask.shape[-2:], size)
        label = ndimage.binary_dilation(fit_masks(mask, box)[0] > 0, np.ones((3, 3), bool))
        lines = np.argwhere(skeletonize(mask[0] > 0)) * box.scale
        rows, columns = (lines[:, axis].astype(int) + box.window[axis].start for axis in (0, 1))
        assert label[rows, columns].mean() > 0.999


def test_monochrome1_shows_bone_bright() -> None:
    """The chest of the radiograph: its lungs are dark and the mediastinum bright once it is turned."""
    path = XA / "other/gdcm-CR-MONO1-10-chest.dcm"
    stored = np.frombuffer(path.read_bytes()[-440 * 440 * 2 :], "<u2").reshape(440, 440)
    np.testing.assert_array_equal(read_image(path).frames[0], 1023.0 - stored)


def test_segmentation_objects_are_masks() -> None:
    liver = read_mask(XA / "other/seg_liver_3frames.dcm")
    assert liver.shape == (3, 512, 512)
    assert set(np.unique(liver)) == {0, 1}
    several = pydicom.dcmread(XA / "other/DicomSeg.dcm")  # three segments of a series of 32 images
    places: dict[str, int] = {}
    expected = np.zeros((32, 256, 256), np.int64)
    for inside, group in zip(several.pixel_array, several.PerFrameFunctionalGroupsSequence, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = places.setdefault(source, len(places))
        expected[place][inside > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    np.testing.assert_array_equal(read_mask(XA / "other/DicomSeg.dcm"), expected)


@pytest.mark.parametrize(("name", "frames", "patients"), [("arcade", 60, 60), ("chase_db1", 28, 14)])
def test_real_hospitals_load(name: str, frames: int, patients: int, tmp_path: Path) -> None:
    data = load_site(DATA / name, [name], 96, cache=tmp_path)
    splits = (data.train, data.val, data.test)
    assert sum(map(len, splits)) == frames
    groups = [set(split.patients) for split in splits]
    assert sum(map(len, groups)) == len(set.union(*groups)) == patients
    for split in splits:
        assert torch.isfinite(images_of(split)).all()
        assert (masks_of(split) == 1).any()
        assert abs(images_of(split).mean()) < 1.5


def test_two_real_hospitals_share_no_class() -> None:
    assert check_sites({"a": DATA / "arcade", "c": DATA / "chase_db1"}) == ("arcade", "chase_db1")


def test_the_share_of_the_labels_survives_the_resize(tmp_path: Path) -> None:
    stated = {one.name: one.share for one in describe_folder(DATA / "arcade").mask_values}["arcade"]
    data = load_site(DATA / "arcade", ["arcade"], 96, cache=tmp_path)
    masks = torch.cat([masks_of(split) for split in (data.train, data.val, data.test)])
    assert (masks == 1).float().mean().item() == pytest.approx(stated, rel=0.1)
