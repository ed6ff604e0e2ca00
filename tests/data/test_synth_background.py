"""Devices on real frames: the physics of what is drawn, exact masks, and a silo that trains."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from fedefm.cli import main
from fedefm.data.dataset import load_site
from fedefm.data.describe import describe_folder
from fedefm.data.folder import UNLABELLED
from fedefm.data.png_file import write_png
from fedefm.data.readers import read_image, read_mask
from fedefm.data.synth.composite import draw_devices
from fedefm.data.synth.on_background import draw_on
from fedefm.errors import ConfigError, DataError
from fedefm.files import folder_sha256
from support.dicom_files import dicom


def noisy(level: float = 1000.0, sigma: float = 20.0, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    return np.random.default_rng(0).normal(level, sigma, shape).astype(np.float32)


def with_both() -> int:
    """A frame number in which both devices lie."""
    return next(k for k in range(50) if set(np.unique(draw_devices(noisy(), 0.0, (1,), k).mask)) == {0, 1, 2})


def test_devices_take_radiation_where_the_mask_is_and_nowhere_far_from_it() -> None:
    frame = noisy()
    made = draw_devices(frame, 0.0, (1,), with_both())
    change = made.image - frame
    for device in (1, 2):
        dip = change[made.mask == device].mean() / 1000
        assert -0.6 < dip < -0.05
    far = ~binary_dilation(made.mask > 0, iterations=8)
    # the wire inside a catheter lies under its mask, so nothing but what is labelled changes the picture
    np.testing.assert_array_equal(made.image[far], frame[far])


def test_a_frame_twice_as_bright_is_dimmed_by_the_same_share() -> None:
    number = with_both()
    flat = np.random.default_rng(0).uniform(0.999, 1.001, (256, 256)).astype(np.float32)
    one, two = (draw_devices(flat * level, 0.0, (1,), number) for level in (500, 1000))
    np.testing.assert_array_equal(one.mask, two.mask)
    np.testing.assert_allclose(two.image, 2 * one.image, rtol=1e-4)


def test_the_noise_behind_a_device_is_that_of_so_little_radiation() -> None:
    frame, number = noisy(sigma=30.0), with_both()
    flat = draw_devices(np.random.default_rng(0).uniform(999, 1001, (256, 256)).astype(np.float32), 0.0, (1,), number)
    share = flat.image / 1000
    deep = (share < 0.85) & (flat.mask > 0)
    residual = (draw_devices(frame, 0.0, (1,), number).image - 1000 * share)[deep]
    expected = 30 * np.sqrt(share[deep].mean())
    assert residual.std() == pytest.approx(expected, rel=0.15)


def test_nothing_is_drawn_or_labelled_behind_a_collimator() -> None:
    frame = noisy()
    frame[:, :128], frame[:60] = 0.0, 300.0  # black, and painted grey
    for number in range(6):
        made = draw_devices(frame, 0.0, (1,), number)
        hidden = np.s_[8:50, :]
        assert not made.mask[hidden].any() and not made.mask[70:, :118].any()
        np.testing.assert_array_equal(made.image[hidden], frame[hidden])


def test_any_shape_and_the_same_bytes_again() -> None:
    frame = noisy(shape=(120, 200))
    one, two, other = (draw_devices(frame, 0.0, (1,), number) for number in (3, 3, 4))
    assert one.image.shape == one.mask.shape == (120, 200)
    np.testing.assert_array_equal(one.image, two.image)
    assert not np.array_equal(one.mask, other.mask)


def backgrounds(folder: Path) -> Path:
    """Five pictures of three patients in a silo's folder, a cine of 12 bits among them, and a damaged file."""
    (folder / UNLABELLED).mkdir(parents=True)
    for stem in ("a_1", "a_2", "b_1", "c_1"):
        write_png(folder / UNLABELLED / f"{stem}.png", noisy(120, 6, (96, 96)).astype(np.uint8))
    cine = np.stack([noisy(2000 + 100 * k, 30, (96, 96)) for k in range(3)]).astype(np.uint16)
    (folder / UNLABELLED / "c_2.dcm").write_bytes(dicom(cine, stored=12))
    (folder / UNLABELLED / "c_3.png").write_bytes(b"damaged")
    said = {"classes": {"0": "background", "1": "catheter"}, "patients": "^(?P<patient>[^_]+)_"}
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


def test_a_silo_of_it_is_checked_trains_and_keeps_patients_apart(tmp_path: Path) -> None:
    source = backgrounds(tmp_path / "own")
    before = folder_sha256(source)
    assert draw_on(source, tmp_path / "drawn", frames=20, seed=1) == 1
    assert folder_sha256(source) == before
    summary = describe_folder(tmp_path / "drawn")
    assert (summary.frames, summary.patients, summary.stops) == (20, 3, ())
    assert {one.name for one in summary.mask_values} == {"background", "catheter", "guidewire"}
    assert set(summary.bits) == {8, 16}
    assert load_site(tmp_path / "drawn", ["catheter", "guidewire"], 32).synthetic
    assert not {path.name for path in (tmp_path / "drawn" / "images").iterdir()} & {"a_1.png", "c_2.png"}


def test_the_same_seed_gives_the_same_folder_and_another_one_another(tmp_path: Path) -> None:
    source = backgrounds(tmp_path / "own")
    for name, seed in (("one/x", 1), ("two/x", 1), ("three/x", 2)):
        draw_on(source, tmp_path / name, frames=6, seed=seed)
    one, two, three = (folder_sha256(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != three


def test_greys_of_eight_bits_stay_as_they_are_beside_the_devices(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    grey = noisy(120, 6, (96, 96)).astype(np.uint8)
    write_png(tmp_path / "own" / "x.png", grey)
    draw_on(tmp_path / "own", tmp_path / "drawn", frames=1, seed=0)
    (image,), (mask,) = ((tmp_path / "drawn" / part).iterdir() for part in ("images", "masks"))
    labelled = read_mask(mask)[0] > 0
    same = read_image(image).frames[0] == grey
    assert same[~labelled].mean() > 0.9 and labelled.any()


def test_wrong_places_and_numbers_are_refused(tmp_path: Path) -> None:
    source = backgrounds(tmp_path / "own")
    with pytest.raises(ConfigError, match="never changed"):
        draw_on(source, source / UNLABELLED / "x", frames=1, seed=0)
    with pytest.raises(ConfigError, match="--frames"):
        draw_on(source, tmp_path / "x", frames=0, seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image"):
        draw_on(tmp_path / "empty", tmp_path / "x", frames=1, seed=0)
    assert not (tmp_path / "x").exists()


def test_the_command_names_the_next_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "synth", "--background", str(backgrounds(tmp_path / "own")), "--out", str(tmp_path / "drawn")]
    assert main([*command, "--frames", "3"]) == 0
    told = capsys.readouterr().out
    assert "1 files could not be used" in told and f"fedefm data check {tmp_path / 'drawn'}" in told
