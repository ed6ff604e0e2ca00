import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from fedefm.data.deidentify.burned_in import find_text
from fedefm.data.synth import LOOKS, render

WORDS = "DOE^JANE 1950-01-01"


def written(frame: np.ndarray, height: int, grey: int) -> np.ndarray:
    picture = Image.fromarray(frame)
    ImageDraw.Draw(picture).text((8, 120), WORDS, fill=grey, font=ImageFont.load_default(height))
    return np.asarray(picture).astype(np.float32)


@pytest.mark.parametrize("height", [12, 16, 24])
@pytest.mark.parametrize("grey", [0, 255])
def test_letters_that_can_be_seen_are_found_where_they_stand(height: int, grey: int) -> None:
    missed = 0
    for seed in range(5):
        frame = render("human", 256, seed).image
        behind = frame[120 : 120 + height, 8 : 8 + 9 * height].astype(int)
        if (abs(behind - grey) < 40).mean() > 0.2:
            continue  # white on white
        boxes = find_text(written(frame, height, grey))
        missed += not any(box.top < 120 + height and box.bottom > 120 and box.left < 60 for box in boxes)
    assert missed == 0


def test_few_clean_frames_raise_an_alarm() -> None:
    alarms = [bool(find_text(render(look, 256, seed).image.astype(np.float32))) for look in LOOKS for seed in range(10)]
    assert sum(alarms) <= 4  # of 40


def test_any_unit_and_kind_of_grey_gives_the_same_boxes() -> None:
    frame = written(render("human", 256, 1).image, 16, 255)
    assert find_text(frame) == find_text(frame * 16 - 1024) != []


def test_a_picture_of_one_grey_shows_nothing() -> None:
    assert find_text(np.full((64, 64), 7, np.float32)) == []
