"""The example for a notebook, run as it stands."""

import runpy
from pathlib import Path

import numpy as np
import ot
import pytest
from PIL import Image

from fedefm.models.checkpoint import load_weights

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.py"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What its cells left, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MPLBACKEND", "Agg")
        return {**runpy.run_path(str(EXAMPLE)), "folder": folder / "notebook"}


def test_it_leaves_a_model_that_it_has_labelled_an_image_with(ran: dict) -> None:
    assert load_weights(ran["folder"] / "run" / "theta.safetensors").sha256 == ran["report"]["theta"]["sha256"]
    assert ran["labels"].shape == ran["images"][ran["first"]].shape
    assert sum(ran["shares"].values()) == pytest.approx(1)


def test_its_overlay_shows_the_frame_in_grey_and_the_labels_in_colour(ran: dict) -> None:
    pixels = np.asarray(Image.open(ran["folder"] / "overlay.png").convert("RGB")).astype(int)
    assert pixels.shape == (400, 800, 3)
    left, right = pixels[:, :400], pixels[:, 400:]
    assert left.std() > 10 and np.ptp(left, axis=2).max() <= 2
    assert (np.ptp(right, axis=2).max() > 30) == bool(ran["labels"].any())


def test_its_distance_is_the_earth_movers_distance(ran: dict) -> None:
    u, v = (ran[name][0].double().numpy() for name in "uv")
    assert len(u) == len(v) > 1
    cost = 1 - (u / np.linalg.norm(u, axis=1, keepdims=True)) @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    a, b = np.maximum(u @ v.mean(0), 0), np.maximum(v @ u.mean(0), 0)
    assert ran["distance"].item() == pytest.approx(ot.emd2(a / a.sum(), b / b.sum(), cost), abs=1e-5)
