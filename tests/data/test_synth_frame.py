"""Frames: determinism, masks, and that the classes look as they must in every look."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from fedefm.data.synth import CLASSES, HELD_BACK, LOOKS, render
from fedefm.data.synth.frame import canvas_for, default_magnification, present, render_patient
from fedefm.data.synth.looks import look_named
from fedefm.errors import ConfigError

ALL = (*LOOKS, *HELD_BACK)
CATHETER, GUIDEWIRE, VESSEL = (1 + CLASSES.index(name) for name in ("catheter", "guidewire", "vessel"))


@cache
def filled_frames(look: str, count: int = 6, size: int = 96):
    return [render_patient(look_named(look), canvas_for(size, None), (seed,), 0, "full") for seed in range(count)]


def widths(mask: np.ndarray) -> float:
    """Mean width of a line: twice its area by the length of its border (a staircase: 4 / pi longer)."""
    steps = np.abs(np.diff(mask.astype(int), axis=0)).sum() + np.abs(np.diff(mask.astype(int), axis=1)).sum()
    return 2 * mask.sum() / (steps * np.pi / 4)


@pytest.mark.parametrize("look", ALL)
def test_same_seed_same_bytes_and_another_seed_others(look):
    first, again, other = render(look, 64, 5), render(look, 64, 5), render(look, 64, 6)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    assert first.mask.tobytes() != other.mask.tobytes()


@pytest.mark.parametrize("look", ALL)
@pytest.mark.parametrize("size", [32, 101])
def test_shape_type_and_values(look, size):
    frame = render(look, size, 3)
    assert frame.image.shape == frame.mask.shape == (size, size)
    assert frame.image.dtype == frame.mask.dtype == np.uint8
    assert set(np.unique(frame.mask)) <= {0, CATHETER, GUIDEWIRE, VESSEL}


@pytest.mark.parametrize("look", ALL)
def test_every_class_is_in_most_frames(look):
    masks = [render(look, 32, seed).mask for seed in range(24)]
    share = [np.mean([(mask == value).any() for mask in masks]) for value in (CATHETER, GUIDEWIRE, VESSEL)]
    assert min(share) > 0.45


def test_devices_are_absent_as_often_as_promised():
    rng = np.random.default_rng(0)
    there = np.array([present(rng, "full" if draw < 0.4 else "weak") for draw in rng.random(4000)])
    np.testing.assert_allclose(there.mean(axis=0), 0.92, atol=0.02)
    assert np.mean(~there.any(axis=1)) < 0.02


@pytest.mark.parametrize("look", ALL)
@pytest.mark.parametrize("value", [CATHETER, GUIDEWIRE, VESSEL])
def test_every_class_is_darker_than_what_lies_next_to_it(look, value):
    differences = []
    for frame in filled_frames(look):
        region = frame.mask == value
        around = binary_dilation(region, iterations=4) & (frame.mask == 0) & ~binary_dilation(region)
        if around.sum() > 10:
            differences.append(float(np.median(frame.image[around])) - float(np.mean(frame.image[region])))
    assert len(differences) >= 3
    assert np.mean(differences) > 5
    assert np.mean(np.array(differences) > 0) >= 0.75


@pytest.mark.parametrize("look", ALL)
def test_catheters_are_tubes_and_guidewires_thin_at_96_pixels(look):
    frames = filled_frames(look)
    catheter = np.mean([widths(frame.mask == CATHETER) for frame in frames])
    guidewire = np.mean([widths(frame.mask == GUIDEWIRE) for frame in frames])
    assert 2.5 < catheter < 5
    assert 1.2 < guidewire < 2.7
    assert catheter > 1.3 * guidewire


@pytest.mark.parametrize("look", ALL)
def test_the_scene_does_not_depend_on_the_size(look):
    look_, zoom = look_named(look), 1.5
    small, large = (render_patient(look_, canvas_for(size, zoom), (9,), 0, "full").mask for size in (96, 192))
    vote = large.reshape(96, 2, 96, 2).transpose(0, 2, 1, 3).reshape(96, 96, 4)
    agreed = np.all(vote == vote[..., :1], axis=-1)
    assert np.mean(small[agreed] == vote[..., 0][agreed]) > 0.985


@pytest.mark.parametrize("look", ALL)
def test_frames_of_a_patient_share_the_anatomy_but_not_the_pose(look):
    canvas = canvas_for(96, None)
    first, second = (render_patient(look_named(look), canvas, (4,), frame, "full") for frame in (0, 1))
    stranger = render_patient(look_named(look), canvas, (5,), 1, "full")
    free = (first.mask == 0) & (second.mask == 0) & (stranger.mask == 0)
    assert first.mask.tobytes() != second.mask.tobytes()
    if look != "simulation":
        same, other = (np.corrcoef(first.image[free], its.image[free])[0, 1] for its in (second, stranger))
        assert same > other


def test_before_the_injection_no_vessel_is_labelled():
    for look in ALL:
        mask = render_patient(look_named(look), canvas_for(64, None), (2,), 0, "none").mask
        assert not (mask == VESSEL).any()


def test_looks_differ_more_than_patients_do():
    def histogram(look: str, first: int) -> np.ndarray:
        images = np.stack([frame.image for frame in filled_frames(look)[first : first + 3]])
        return np.histogram(images, bins=32, range=(0, 256))[0] / images.size

    ones, others = {look: histogram(look, 0) for look in LOOKS}, {look: histogram(look, 3) for look in LOOKS}
    within = max(np.abs(ones[look] - others[look]).sum() for look in LOOKS)
    between = min(np.abs(ones[a] - ones[b]).sum() for a in LOOKS for b in LOOKS if a < b)
    assert between > within


@pytest.mark.parametrize(("size", "zoom"), [(96, 2.0), (128, 1.5), (256, 1.0), (512, 1.0)])
def test_default_magnification_keeps_devices_resolvable(size, zoom):
    assert default_magnification(size) == pytest.approx(zoom)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("ct", 96, 0), "ct"),
        (("human", 8, 0), "size 8"),
        (("human", 96, -1), "seed -1"),
        (("human", 96, 0, 99.0), "99"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    with pytest.raises(ConfigError, match=word):
        render(*arguments)
