"""Which frame and which segment a frame of a segmentation object means: what it names counts, not its place."""

from pathlib import Path

import numpy as np
import pytest

from fedefm.data.readers import read_mask, read_mask_shape, read_shape
from fedefm.errors import DataError
from support.dicom_files import SEG, dicom, element, sequence, short, text

RANDOM = np.random.default_rng(5)
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
FRAMES, ROWS, COLUMNS = 6, 12, 16
TRUTH = np.zeros((FRAMES, ROWS, COLUMNS), np.int64)
for number in range(FRAMES):  # two segments that do not overlap; none is in all frames
    if number != 2:
        TRUTH[number, 1 + number, 2:9] = 1
    if number % 2:
        TRUTH[number, 9, number : number + 6] = 2


def refers(number: int | None, segment: int, instance: str = "1.2.3") -> bytes:
    """The functional groups of one frame."""
    source = text(0x00081155, "UI", instance) + (b"" if number is None else text(0x00081160, "IS", str(number)))
    return sequence(0x00089124, sequence(0x00082112, source)) + sequence(0x0062000A, short(0x0062000B, segment))


def seg(masks: list[np.ndarray], groups: list[bytes], series: tuple[str, ...] = (), kind: str = "BINARY") -> bytes:
    """A segmentation object; `series` are instances that it refers to as a whole."""
    stack = np.stack(masks).astype(np.uint8)
    after = text(0x00620001, "CS", kind)
    after += sequence(0x00620002, *[short(0x00620004, number) for number in (1, 2)])
    after += sequence(0x52009230, *groups)
    named = [text(0x00081155, "UI", one) for one in series]
    before = sequence(0x00081115, sequence(0x0008114A, *named)) if named else b""
    if kind == "LABELMAP":
        return dicom(stack, sop_class=LABEL_MAP, before=before, between=after, frames=len(stack))
    packed = element(0x7FE00010, "OB", np.packbits(stack.ravel(), bitorder="little").tobytes())
    return dicom(stack, 1, sop_class=SEG, allocated=1, before=before, between=after, pixel_element=packed)


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    path = tmp_path / "cine.dcm"
    path.write_bytes(dicom(RANDOM.integers(0, 1024, TRUTH.shape).astype(np.uint16), 10))
    return path


def stored(order: list[tuple[int, int]]) -> tuple[list[np.ndarray], list[bytes]]:
    return [TRUTH[k] == segment for k, segment in order], [refers(k + 1, segment) for k, segment in order]


def everything() -> list[tuple[int, int]]:
    return [(k, segment) for k in range(FRAMES) for segment in (1, 2)]


def shown() -> list[tuple[int, int]]:
    return [(k, segment) for k, segment in everything() if (TRUTH[k] == segment).any()]


ORDERS = {
    "as in the run": everything(),
    "by segment": sorted(everything(), key=lambda one: one[1]),
    "backwards": everything()[::-1],
    "shuffled": [everything()[k] for k in np.random.default_rng(1).permutation(2 * FRAMES)],
    "without empty frames": shown(),
    "shuffled, without empty frames": [shown()[k] for k in np.random.default_rng(2).permutation(len(shown()))],
}


@pytest.mark.parametrize("order", ORDERS)
def test_frames_in_any_order_and_number(tmp_path: Path, cine: Path, order: str) -> None:
    path = tmp_path / "mask.dcm"
    path.write_bytes(seg(*stored(ORDERS[order])))
    np.testing.assert_array_equal(read_mask(path, cine), TRUTH)
    assert read_mask_shape(path, cine) == TRUTH.shape
    np.testing.assert_array_equal(read_mask(path), TRUTH)  # here the last frame is among them
    assert read_shape(path) == TRUTH.shape


def test_frames_at_the_end_may_be_left_out(tmp_path: Path, cine: Path) -> None:
    path = tmp_path / "mask.dcm"
    path.write_bytes(seg(*stored([(1, 2), (0, 1)])))
    expected = np.zeros_like(TRUTH)
    expected[0], expected[1] = TRUTH[0] == 1, 2 * (TRUTH[1] == 2)
    np.testing.assert_array_equal(read_mask(path, cine), expected)
    assert read_mask_shape(path, cine) == TRUTH.shape


def test_a_label_map_holds_its_segments(tmp_path: Path, cine: Path) -> None:
    order = [4, 1, 5, 0, 3]
    path = tmp_path / "mask.dcm"
    path.write_bytes(seg([TRUTH[k] for k in order], [refers(k + 1, 0) for k in order], kind="LABELMAP"))
    np.testing.assert_array_equal(read_mask(path, cine), TRUTH)


def test_of_a_series_each_image_gets_its_own(tmp_path: Path) -> None:
    instances = tuple(f"1.2.3.{k}" for k in range(FRAMES))
    path = tmp_path / "mask.dcm"
    masks = [TRUTH[k] == segment for k, segment in shown() if k != 4]
    groups = [refers(None, segment, instances[k]) for k, segment in shown() if k != 4]
    path.write_bytes(seg(masks, groups, instances))
    for k in range(FRAMES):
        image = tmp_path / f"{k}.dcm"
        data = dicom(RANDOM.integers(0, 1024, (ROWS, COLUMNS)).astype(np.uint16), 10)
        image.write_bytes(_renamed(data, instances[k]))
        expected = np.zeros_like(TRUTH[0]) if k == 4 else TRUTH[k]  # nothing is stored of it: it shows nothing
        np.testing.assert_array_equal(read_mask(path, image), expected[None])


def _renamed(data: bytes, instance: str) -> bytes:
    """The same file under another instance."""
    old, new = text(0x00080018, "UI", "1.2.3"), text(0x00080018, "UI", instance)
    assert old in data
    return data.replace(old, new)


def test_a_picture_without_an_instance_takes_the_frames_named(tmp_path: Path) -> None:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(TRUTH.astype(np.uint8)), str(tmp_path / "run.tif"))
    (tmp_path / "mask.dcm").write_bytes(seg(*stored(shown()[::-1])))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.dcm", tmp_path / "run.tif"), TRUTH)


def group_of_two() -> bytes:
    source = text(0x00081155, "UI", "1.2.3") + text(0x00081160, "IS", "1\\2")
    return sequence(0x00089124, sequence(0x00082112, source)) + sequence(0x0062000A, short(0x0062000B, 1))


ONE = [TRUTH[0] == 1]
REFUSED = {
    "another image": (seg(ONE, [refers(1, 1, "9.9.9")]), "refers to another image"),
    "a frame beyond the last": (seg(ONE, [refers(FRAMES + 1, 1)]), "means frame 7 of 6"),
    "two frames in one": (seg(ONE, [group_of_two()]), "means frame 1, 2 of 6"),
    "frames of nothing": (
        seg([TRUTH[0] == 1] * 4, [refers(None, segment) for segment in (1, 2, 1, 2)]),
        "names no frames .Referenced Frame Number",
    ),
    "the same place twice": (seg([TRUTH[0] == 1] * 2, [refers(1, 1), refers(1, 2)]), "segments overlap"),
    "fractions": (seg(ONE, [refers(1, 1)], kind="FRACTIONAL"), "fractional"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_means_no_frame_of_the_image_is_refused(tmp_path: Path, cine: Path, kind: str) -> None:
    data, word = REFUSED[kind]
    (tmp_path / "mask.dcm").write_bytes(data)
    with pytest.raises(DataError, match=word):
        read_mask(tmp_path / "mask.dcm", cine)
