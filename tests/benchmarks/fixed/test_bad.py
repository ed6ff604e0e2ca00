"""A bad hospital is bad in what it trains on, and in nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from benchmarks.fixed.bad import retina, shifted, spoil_site, swapped
from benchmarks.fixed.retina import fundus

from fedefm.data.dataset import load_site
from fedefm.data.synth import write_site
from fedefm.errors import ConfigError
from support.splits import images_of, masks_of

CLASSES = ("catheter", "guidewire", "vessel")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sites")
    for name, corpus in (("partial", ("guidewire", "vessel")), ("full", CLASSES)):
        write_site(root / name / "human", "human", frames=12, size=64, seed=3, corpus=corpus)
    return root / "partial" / "human", root / "full" / "human"


def test_shifted_masks_lie_an_eighth_of_the_side_away() -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[3, 4], mask[15, 15] = 2, 1
    image, moved = shifted(mask, mask, RNG)
    assert image is mask and moved[5, 6] == 2 and int(moved.sum()) == 2  # what leaves the image is gone


def test_swapped_classes_keep_the_guidewire() -> None:
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    assert swapped(mask, mask, RNG)[1].tolist() == [[0, 3], [2, 1]]


def test_a_fundus_has_dark_vessels_rightly_labelled() -> None:
    for seed in range(3):
        image, vessels = fundus(64, np.random.default_rng(seed))
        assert image.shape == vessels.shape == (64, 64) and 0.01 < vessels.mean() < 0.5
        y, x = np.indices(image.shape) - 31.5
        inside = np.hypot(x, y) < 28
        assert image[vessels & inside].mean() < image[~vessels & inside].mean() - 20
        assert image[np.hypot(x, y) > 40].max() < 40
    same = [fundus(64, np.random.default_rng(1))[0] for _ in range(2)]
    assert (same[0] == same[1]).all() and (image != same[0]).any()
    assert set(np.unique(retina(image, image, np.random.default_rng(2))[1])) == {0, 3}


@pytest.mark.parametrize("scenario", ["shifted", "swapped", "retina"])
def test_only_what_is_trained_on_changes(sites: tuple[Path, Path], tmp_path: Path, scenario: str) -> None:
    good, full = sites
    place = tmp_path / "bad" / "human"
    assert spoil_site(good, full, place, scenario, 0) == place
    before, after = (load_site(folder, CLASSES, 64) for folder in (good, place))
    assert after.corpus == before.corpus == ("guidewire", "vessel")
    assert (images_of(after.test) == images_of(before.test)).all() and (
        masks_of(after.test) == masks_of(before.test)
    ).all()
    assert (masks_of(after.train) != masks_of(before.train)).any() and (
        masks_of(after.val) != masks_of(before.val)
    ).any()
    assert bool((images_of(after.train) == images_of(before.train)).all()) == (scenario != "retina")
    assert set(masks_of(after.train).unique().tolist()) <= {0, 2, 3}  # never a class outside the corpus
    assert [path.name for path in place.parent.iterdir()] == ["human"]


def test_swapped_classes_follow_the_full_labels(sites: tuple[Path, Path], tmp_path: Path) -> None:
    """The catheters that this hospital does not know by that name are its vessels."""
    good, full = sites
    place = spoil_site(good, full, tmp_path / "human", "swapped", 0)
    truth, bad = (masks_of(load_site(folder, CLASSES, 64).train) for folder in (full, place))
    assert ((truth == 1) == (bad == 3)).all() and ((truth == 2) == (bad == 2)).all() and not (bad == 1).any()


def test_a_copy_is_kept(sites: tuple[Path, Path], tmp_path: Path) -> None:
    read: Callable[[], bytes] = next((spoil_site(*sites, tmp_path / "x", "retina", 5) / "images").glob("*")).read_bytes
    first = read()
    spoil_site(*sites, tmp_path / "x", "retina", 6)
    assert read() == first
    with pytest.raises(ConfigError, match="'upside-down'"):
        spoil_site(*sites, tmp_path / "y", "upside-down", 0)
    assert not (tmp_path / "y").exists()


def test_images_stay_eight_bit_grey(sites: tuple[Path, Path], tmp_path: Path) -> None:
    place = spoil_site(*sites, tmp_path / "z", "retina", 0)
    for path in (*place.glob("images/*.png"), *place.glob("masks/*.png")):
        assert SimpleITK.ReadImage(str(path)).GetPixelIDTypeAsString() == "8-bit unsigned integer"
