"""The sheet shows what it should, is whole by itself, and stays small."""

import base64
import io
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.data.describe import describe
from fedefm.data.inspection.whole import inspect_folder
from fedefm.report.palette import class_colours, rgb
from fedefm.report.sheet import MOST_SUSPECTS, MOST_USUAL, sheet, write_sheet
from fedefm.report.shots import SIDE, contours, grey_address
from support.angiograms import angiogram, put, site
from support.page_reader import read

COLOURS = {
    1: class_colours(["guidewire", "catheter"])["guidewire"],
    2: class_colours(["guidewire", "catheter"])["catheter"],
}


def page_of(folder: Path) -> str:
    inspection = inspect_folder(folder)
    return sheet(inspection, describe(inspection))


def decoded(address: str) -> np.ndarray:
    kind, _, content = address.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as picture:
        picture.load()
        assert f"data:image/{picture.format.lower()}" == kind
        return np.asarray(picture.convert("RGBA") if picture.mode == "P" else picture)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = site(tmp_path / "here", {f"x{20 * k}": angiogram(k) for k in range(8)})
    grey, mask = angiogram(99)
    put(made, "off<b>&", (grey, np.roll(mask, 20, 0)))
    (made / "images/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(mask).save(made / "masks/bad.png")
    Image.fromarray(grey).save(made / "images/lonely.png")
    Image.fromarray(mask).save(made / "masks/orphan.png")
    return made


def test_the_page_is_whole_and_needs_nothing_else(folder: Path) -> None:
    page = read(page_of(folder))
    assert page.open == [] and page.unbalanced == []
    assert "script" not in page.tags and "b" not in page.tags and len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:60]
    assert not [name for _, attributes in page.attributes for name in attributes if name.startswith("on")]


def test_it_says_first_that_it_must_not_leave_the_hospital(folder: Path, tmp_path: Path) -> None:
    text = read(page_of(folder)).text
    assert text.index("must not leave the hospital") < text.index("FedEFM data check")
    inspection = inspect_folder(folder)
    write_sheet(inspection, describe(inspection), tmp_path / "out.html")
    assert stat.S_IMODE((tmp_path / "out.html").stat().st_mode) == 0o600


def test_the_suspicious_comes_first_and_what_is_left_out_last_each_with_its_reason(folder: Path) -> None:
    page = read(page_of(folder))
    order = [
        "lies on no dark line",
        "off<b>&.png",
        "By class and patient",
        "x0.png",
        "Left out",
        "bad.png",
        "orphan.png",
    ]
    text = page.text.partition("Look at these first All")[2]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    for reason in ("images/lonely.png has no mask", "masks/orphan.png has no image", "cannot read bad.png"):
        assert reason in text
    assert "it would fit 20 up" in text and "patient x0" in text


def test_every_picture_decodes_and_contours_lie_on_their_image(folder: Path) -> None:
    images = [attributes for tag, attributes in read(page_of(folder)).attributes if tag == "img"]
    assert len(images) > 16
    for one in images:
        pixels = decoded(one["src"] or "")
        assert pixels.shape[:2] == (int(one["height"] or 0), int(one["width"] or 0))
        assert max(pixels.shape[:2]) <= SIDE
        if one.get("class") == "lines":
            assert pixels.shape[2] == 4 and set(np.unique(pixels[..., 3])) <= {0, 255}


@pytest.mark.parametrize(("height", "width"), [(80, 96), (512, 512), (700, 300), (256, 256)])
def test_contours_go_around_each_class_and_leave_it_free(height: int, width: int) -> None:
    mask = np.zeros((height, width), np.int64)
    mask[height // 4, 10 : width // 2] = 1
    mask[height // 2 : height // 2 + 40, width // 4 : width // 4 + 40] = 2
    drawn = decoded(contours(mask, COLOURS))
    shown = grey_address(mask.astype(np.float32))[:2]
    assert drawn.shape[1::-1] == shown
    scale = drawn.shape[0] / height
    middle = (round((height // 2 + 20) * scale), round((width // 4 + 20) * scale))
    assert drawn[middle][3] == 0
    for value, rows in ((1, height // 4), (2, height // 2 + 20)):
        rows = round(rows * scale)
        colours = {tuple(pixel[:3]) for pixel in drawn[max(0, rows - 4) : rows + 5].reshape(-1, 4) if pixel[3]}
        assert rgb(COLOURS[value]) in colours


def test_a_large_folder_gives_a_small_page_that_says_what_it_shows(tmp_path: Path) -> None:
    folder = site(tmp_path / "here", {f"x{20 * k}": angiogram(k) for k in range(200)})
    for k in range(80):
        grey, mask = angiogram(1000 + k)
        put(folder, f"off{20 * k}", (grey, np.roll(mask, 20, 0)))
    page = read(page_of(folder))
    assert f"{MOST_SUSPECTS} of 80: the most telling ones." in page.text
    assert f"{MOST_USUAL // 2} of 200: one frame a patient" in page.text
    assert sum(map(len, page.addresses)) < 4_000_000
