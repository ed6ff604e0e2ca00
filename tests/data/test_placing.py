"""A mask lies where its header says, beside an image that says so too; wherever each was stored from."""

import gzip
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.readers import read_image, read_mask, read_mask_shape
from fedefm.errors import DataError
from support.dicom_files import dicom

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, (1, 8, 10)).astype(np.uint8)
STACK = RANDOM.integers(0, 3, (4, 8, 10)).astype(np.uint8)
AS_DICOM = np.diag([-0.3, -0.3, 1.0, 1.0])


def nifti(
    path: Path, pixels: np.ndarray, affine: np.ndarray | None, *, quaternion: tuple[float, ...] | None = None
) -> Path:
    """Frames, rows, columns of uint8 or int16 with a matrix, byte by byte."""
    data = bytearray(352)
    kind, bits = {1: (2, 8), 2: (4, 16)}[pixels.itemsize]
    frames, rows, columns = pixels.shape
    struct.pack_into("<i", data, 0, 348)
    struct.pack_into("<8h", data, 40, 3, columns, rows, frames, 1, 1, 1, 1)
    struct.pack_into("<2h", data, 70, kind, bits)
    sides = (1, 1, 1) if affine is None else np.linalg.norm(affine[:3, :3], axis=0)
    struct.pack_into("<4f", data, 76, quaternion[0] if quaternion else 1, *sides)
    struct.pack_into("<3f", data, 108, 352, 0, 0)
    struct.pack_into("<2h", data, 252, int(quaternion is not None), int(affine is not None and quaternion is None))
    if quaternion is not None:
        struct.pack_into("<6f", data, 256, *quaternion[1:])
    if affine is not None:
        struct.pack_into("<12f", data, 280, *affine[:3].ravel())
    data[344:348] = b"n+1\0"
    whole = bytes(data) + np.ascontiguousarray(pixels).tobytes()
    path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)
    return path


def stored_from(pixels: np.ndarray, affine: np.ndarray, flips: tuple[int, ...], order: tuple[int, ...] = (0, 1, 2)):
    """The same picture in space, stored from other corners; axes are columns, rows, frames."""
    sides = pixels.shape[::-1]
    array, matrix = pixels.transpose(2, 1, 0), affine.copy()
    for axis in flips:
        array = np.flip(array, axis)
        matrix[:3, 3] += matrix[:3, axis] * (sides[axis] - 1)
        matrix[:3, axis] *= -1
    return array.transpose(order).transpose(2, 1, 0), matrix[:, [*order, 3]]


@pytest.mark.parametrize("flips", [f for n in range(3) for f in itertools.combinations(range(2), n)])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_a_slice_stored_from_any_corner(tmp_path: Path, flips: tuple[int, ...], order: tuple[int, ...]) -> None:
    image = nifti(tmp_path / "image.nii.gz", LABELS.astype(np.int16), AS_DICOM)
    mask = nifti(tmp_path / "mask.nii", *stored_from(LABELS, AS_DICOM, flips, order))
    np.testing.assert_array_equal(read_mask(mask, image), LABELS)
    assert read_mask_shape(mask, image) == LABELS.shape


@pytest.mark.parametrize("flips", [f for n in range(4) for f in itertools.combinations(range(3), n)])
@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_a_stack_stored_from_any_corner_along_any_axes(
    tmp_path: Path, flips: tuple[int, ...], order: tuple[int, ...]
) -> None:
    turned = np.array([[0.28, -0.1, 0, 5], [0.1, 0.28, 0.1, -7], [0, 0.1, 0.9, 3], [0, 0, 0, 1]])
    image = nifti(tmp_path / "image.nii", STACK.astype(np.int16), turned)
    mask = nifti(tmp_path / "mask.nii", *stored_from(STACK, turned, flips, order))
    np.testing.assert_array_equal(read_mask(mask, image), STACK)
    assert read_mask_shape(mask, image) == STACK.shape


def test_a_quaternion_says_as_much_as_a_matrix(tmp_path: Path) -> None:
    image = nifti(tmp_path / "image.nii", LABELS.astype(np.int16), AS_DICOM)
    # half a turn around the third axis is AS_DICOM's; then the columns from the other end, by the sign of pixdim[0]
    half = nifti(tmp_path / "half.nii", LABELS, AS_DICOM, quaternion=(1, 0, 0, 1, 0, 0, 0))
    np.testing.assert_array_equal(read_mask(half, image), LABELS)
    whole = nifti(tmp_path / "none.nii", LABELS[:, ::-1, ::-1], AS_DICOM, quaternion=(1, 0, 0, 0, -2.7, -2.1, 0))
    np.testing.assert_array_equal(read_mask(whole, image), LABELS)


@pytest.mark.parametrize("shear", [0.15, 1e-3])
def test_a_matrix_with_shear_is_read(tmp_path: Path, shear: float) -> None:
    affine = AS_DICOM.copy()
    affine[0, 1] = shear * 0.3
    image = nifti(tmp_path / "image.nii.gz", LABELS.astype(np.int16) * 100, affine)
    mask = nifti(tmp_path / "mask.nii", *stored_from(LABELS, affine, (0,)))
    np.testing.assert_array_equal(read_image(image).frames, LABELS * 100.0)
    np.testing.assert_array_equal(read_mask(mask, image), LABELS)


@pytest.mark.parametrize("affine", [None, np.eye(4), np.diag([-1.0, -1, 1, 1])])
def test_a_header_that_knows_nothing_changes_nothing(tmp_path: Path, affine: np.ndarray | None) -> None:
    image = nifti(tmp_path / "image.nii", LABELS.astype(np.int16), AS_DICOM)
    mask = nifti(tmp_path / "mask.nii", LABELS, affine)
    np.testing.assert_array_equal(read_mask(mask, image), LABELS)
    np.testing.assert_array_equal(read_mask(image, mask), LABELS)
    (tmp_path / "run.dcm").write_bytes(dicom(STACK))
    stack = nifti(tmp_path / "stack.nii", STACK, affine)
    np.testing.assert_array_equal(read_mask(stack, tmp_path / "run.dcm"), STACK)


def test_a_mask_of_a_picture_on_a_screen_may_be_mirrored_too(tmp_path: Path) -> None:
    (tmp_path / "run.dcm").write_bytes(dicom(STACK))
    for side in (1.0, 0.2):
        screen = np.diag([-side, -side, 3.0, 1.0])
        mask = nifti(tmp_path / "mask.nii", *stored_from(STACK, screen, (0, 1)))
        np.testing.assert_array_equal(read_mask(mask, tmp_path / "run.dcm"), STACK)


@pytest.mark.parametrize("name", ["mask.seg.nrrd", "mask.mha"])
def test_the_part_that_was_drawn_in_is_put_into_its_place(tmp_path: Path, name: str) -> None:
    whole = np.zeros_like(STACK)
    whole[1:3, 2:7, 3:9] = STACK[1:3, 2:7, 3:9]
    image = sitk.GetImageFromArray(whole.astype(np.int16))
    image.SetSpacing((0.3, 0.4, 2.0))
    image.SetOrigin((5, -6, 7))
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    part = sitk.GetImageFromArray(whole)
    part.CopyInformation(image)
    sitk.WriteImage(part[3:9, 2:7, 1:3], str(tmp_path / name))
    np.testing.assert_array_equal(read_mask(tmp_path / name, tmp_path / "image.nii.gz"), whole)
    assert read_mask_shape(tmp_path / name, tmp_path / "image.nii.gz") == whole.shape
    assert read_mask(tmp_path / name).shape == (2, 5, 6)


ELSEWHERE = {
    "shifted by half a pixel": AS_DICOM + np.array([[0, 0, 0, 0.15]] + [[0.0] * 4] * 3),
    "shifted out of the picture": AS_DICOM + np.array([[0, 0, 0, 0.9]] + [[0.0] * 4] * 3),
    "of other pixels": np.diag([-0.5, -0.3, 1, 1]),
    "turned": np.array([[-0.26, 0.15, 0, 0], [-0.15, -0.26, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_mask_that_lies_elsewhere_is_refused(tmp_path: Path, where: str) -> None:
    image = nifti(tmp_path / "image.nii", LABELS.astype(np.int16), AS_DICOM)
    mask = nifti(tmp_path / "mask.nii", LABELS, ELSEWHERE[where])
    for read in (read_mask, read_mask_shape):
        with pytest.raises(DataError, match="lies elsewhere in space than its image"):
            read(mask, image)
