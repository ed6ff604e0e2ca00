import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedefm.metrics import Tip
from fedefm.metrics.steadiness import Steadiness

CLASSES = ("catheter", "vessel")


def of(frames, tips=()):
    found = Steadiness(CLASSES, ("catheter",))
    for k, frame in enumerate(frames):
        found.add(np.asarray(frame, np.uint8), tips[k] if tips else {})
    return found


def bar(columns, value=1):
    frame = np.zeros((20, 30), np.uint8)
    frame[5:9, columns] = value
    return frame


def test_what_stands_still_or_moves_less_than_its_width_does_not_flicker():
    assert of([bar(slice(3, 9))] * 4).flicker == {"catheter": 0.0, "vessel": None}
    moving = of([bar(slice(k, k + 6)) for k in range(5)])
    assert moving.flicker["catheter"] == 0.0


def test_a_frame_that_jumps_counts_with_all_that_it_lost_and_has_too_much():
    once_elsewhere = of([bar(slice(0, 6)), bar(slice(20, 26)), bar(slice(0, 6))])
    assert once_elsewhere.flicker["catheter"] == pytest.approx(2.0)  # as many pixels too many as are missing
    turned = of([bar(slice(0, 6)), bar(slice(0, 6), 2), bar(slice(0, 6))])
    assert turned.flicker == {"catheter": None, "vessel": pytest.approx(1.0)}


def test_jitter_is_what_a_steady_movement_leaves():
    line = [{"catheter": Tip(2.0 * k, 3.0 * k)} for k in range(6)]
    frames = [bar(slice(0, 6))] * 6
    assert of(frames, line).tip_jitter_px == {"catheter": 0.0}
    shaken = [{"catheter": Tip(2.0 * k, 3.0 * k + 4 * (k % 2))} for k in range(6)]
    assert of(frames, shaken).tip_jitter_px == {"catheter": pytest.approx(4.0)}
    assert of(frames, [{}, *line[1:3], {}, *line[4:]]).tip_jitter_px == {"catheter": None}


@given(arrays(np.uint8, (5, 4, 4), elements=st.integers(0, 2)))
def test_flicker_is_that_of_the_plain_count(film):
    found = of(film).flicker
    for label, name in enumerate(CLASSES, 1):
        marked = blinks = 0
        for before, now, after in zip(film, film[1:], film[2:], strict=False):
            marked += int((now == label).sum())
            changed = (before == after) & (now != before)
            blinks += int((changed & ((now == label) | (before == label))).sum())
        assert found[name] == (pytest.approx(blinks / marked) if marked else None)
