"""Headers of every kind: training and `segment` read the same frames from the same bytes, or both refuse them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from fedefm.data.readers import open_file, read_frames, read_image, read_shape
from fedefm.errors import DataError
from fedefm.inference.source import open_run

STACK = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)


def dims(*sides: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into("<8h", data, 40, len(sides), *sides, *[1] * (7 - len(sides)))


def field(kind: str, place: int, *values: float) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into("<" + kind, data, place, *values)


def colour(data: bytearray) -> None:
    """Three values a pixel, as three stacks."""
    dims(5, 2, 2, 1, 3)(data)
    field("h", 68, 1007)(data)


def as_rgb(data: bytearray) -> None:
    dims(5, 2, 2)(data)
    field("2h", 70, 128, 24)(data)


def big_endian(data: bytearray) -> None:
    """The fields that are read here, turned; the pixels are single bytes."""
    for kind, place, count in (("i", 0, 1), ("h", 40, 8), ("h", 68, 4), ("f", 76, 8), ("f", 108, 3), ("h", 252, 2)):
        values = struct.unpack_from(f"<{count}{kind}", data, place)
        struct.pack_into(f">{count}{kind}", data, place, *values)
    struct.pack_into(">18f", data, 256, *struct.unpack_from("<18f", data, 256))


EDITS = {
    "as written": (lambda data: None, (3, 4, 5)),
    "big-endian": (big_endian, (3, 4, 5)),
    "one slice": (dims(5, 12), (1, 12, 5)),
    "seven sides": (dims(5, 4, 3, 1, 1, 1, 1), (3, 4, 5)),
    "no third side": (dims(5, 4, 0), (1, 4, 5)),
    "colour in planes": (colour, (2, 2, 5)),
    "colour in pixels": (as_rgb, (2, 2, 5)),
    "pixels said to start at 0": (field("f", 108, 0), None),
    "pixels said to start before the file": (field("f", 108, -5), None),
    "a slope": (field("2f", 112, 2.5, -7), (3, 4, 5)),
    "metres": (field("B", 123, 1), (3, 4, 5)),
    "no spacing": (field("3f", 80, 0, 0, 0), (3, 4, 5)),
    "mirrored": (field("3f", 80, -0.3, -0.3, 1), (3, 4, 5)),
    "sides of a pixel differ": (field("3f", 80, 0.3, 0.4, 1), (3, 4, 5)),
}


def write(path: Path, edit: Callable[[bytearray], None]) -> Path:
    """A stack with another header, packed or not."""
    image = sitk.GetImageFromArray(STACK)
    image.SetSpacing((0.3, 0.3, 1.0))
    sitk.WriteImage(image, str(path.parent / "whole.nii"))
    data = bytearray((path.parent / "whole.nii").read_bytes())
    edit(data)
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("edit", EDITS)
def test_training_and_segment_agree(tmp_path: Path, name: str, edit: str) -> None:
    path, shape = write(tmp_path / name, EDITS[edit][0]), EDITS[edit][1] or (3, 4, 5)
    trained, file, run = read_image(path), open_file(path), open_run(path)
    assert trained.frames.shape == read_shape(path) == file.shape == run.shape == shape
    assert trained.spacing_mm == file.spacing_mm == run.spacing_mm
    np.testing.assert_array_equal(np.stack(list(read_frames(file))), trained.frames)


REFUSED = {
    "one side": (dims(60), "1 dimensions"),
    "four sides": (dims(5, 2, 3, 2), "4 dimensions"),
    "a fifth side of frames": (dims(5, 4, 1, 1, 3), "5 dimensions"),
    "pixels that start nowhere": (field("f", 108, float("nan")), "start nowhere"),
    "pixels that start far away": (field("f", 108, 1e30), "start nowhere"),
    "more than there is": (dims(5, 4, 4), "truncated"),
    "too much": (dims(30_000, 30_000, 500), "above 8192"),
}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("edit", REFUSED)
def test_training_and_segment_refuse_alike(tmp_path: Path, name: str, edit: str) -> None:
    path = write(tmp_path / name, REFUSED[edit][0])
    for read in (read_image, read_shape, lambda path: list(read_frames(open_file(path)))):
        with pytest.raises(DataError, match=REFUSED[edit][1]):
            read(path)


def test_an_orientation_of_no_numbers_matters_only_to_what_writes_it_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", field("2f", 80, float("nan"), float("nan")))
    image = read_image(path)
    assert image.spacing_mm is None
    np.testing.assert_array_equal(image.frames, STACK)
    with pytest.raises(DataError, match="lies nowhere in space"):
        open_run(path)
