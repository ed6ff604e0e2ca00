import base64
import io

import numpy as np
import pytest
from PIL import Image

from fedefm.report.curves import dice_panel, draw, loss_panels, owner_means, reputation_panel, series
from fedefm.report.palette import rgb, site_strokes

SITES = ("animal", "human")


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGBA"), dtype=int)


def test_series_drop_missing_values_and_keep_their_rounds():
    assert series([(0, {"a": 1.0, "b": None}), (2, {"a": None, "b": 3.0})]) == {"a": [(0, 1.0)], "b": [(2, 3.0)]}


def test_experts_are_averaged_over_their_hosts():
    lines = {"a@b": [(0, 1.0), (1, 2.0)], "a@c": [(0, 3.0)], "b@a": [(1, 5.0)]}
    assert owner_means(lines, ("a", "b", "c")) == {"a": [(0, 2.0), (1, 2.0)], "b": [(1, 5.0)]}


def test_a_site_may_have_an_at_sign():
    assert set(owner_means({"x@y": [(0, 1.0)], "x@y@z": [(0, 1.0)]}, ("x@y", "z"))) == {"x@y"}


@pytest.mark.parametrize("site", SITES)
def test_a_curve_has_the_colour_of_its_site(site):
    drawn = picture(draw({site: [(0, 0.1), (5, 0.9)]}, SITES, "Dice", 5))
    solid = drawn[drawn[..., 3] == 255][:, :3]
    colours = {name: rgb(site_strokes(SITES)[name][0]) for name in SITES}
    seen = {name for name, colour in colours.items() if (solid == colour).all(axis=1).sum() > 50}
    assert seen == {site}


def test_the_ground_is_transparent_so_that_it_suits_dark_pages():
    drawn = picture(draw({"human": [(0, 0.1)]}, SITES, "Dice", 0))
    assert drawn[0, 0, 3] == 0
    assert (drawn[..., 3] == 0).mean() > 0.8


def test_a_panel_per_stage_with_a_loss(report):
    report["history"] = [{**entry, "loss": dict(sorted(entry["loss"].items()))} for entry in report["history"]]
    titles = [panel.title for panel in loss_panels(report["history"], report["sites"])]
    assert titles == ["Loss, local", "Loss, overseas", "Loss, distil"]
    assert loss_panels([{"round": 0, "loss": {"local": {}}, "val_dice": {}}], SITES) == []
    assert dice_panel([{"round": 0, "loss": {}, "val_dice": {"human": None}}], SITES) is None
    assert dice_panel([], SITES) is None


def test_the_same_curves_are_the_same_bytes(report):
    first, second = (loss_panels(report["history"], report["sites"]) for _ in range(2))
    assert first == second


def test_reputation_has_a_panel_where_silos_were_compared(report):
    rated = reputation_panel({"0": {"human": 1.0}, "2": {"human": 0.0}}, report["history"], SITES)
    assert rated is not None and rated.title == "Reputation"
    assert reputation_panel({}, report["history"], SITES) is None
