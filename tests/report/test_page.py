import re

import numpy as np
import pytest

from fedefm.report.overlay import Overlay
from fedefm.report.page import render
from support.fake_report import SITES, drop_theta, fake_overlay, fake_report, shown_scores
from support.page_reader import read

HOSTILE = "<script>alert('x')</script>\"&"
MARKS = re.compile("[●○★]")


def shown(value: float | None) -> str:
    return "not labelled" if value is None else f"{value:.3f}"


def test_the_page_is_whole_and_needs_nothing_else(report, comparison):
    for one in (report, comparison):
        page = read(render(one, [fake_overlay(site) for site in SITES]))
        assert page.open == []
        assert page.unbalanced == []
        assert "script" not in page.tags
        assert len(page.ids) == len(set(page.ids))
        for address in page.addresses:
            assert address.startswith(("data:", "#")), address[:80]
        assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
        assert not [name for _, attributes in page.attributes for name in attributes if name.startswith("on")]


def test_the_headline(report):
    page = read(render(report, []))
    assert f"mean pooled Dice of {report['dice']['mean']:.3f}" in page.text
    assert f"{report['seconds']['total']:.3f} s" in page.text
    assert "synthetic data" in page.text
    report["synthetic"] = []
    assert "synthetic data" not in read(render(report, [])).text


def test_theta_table_holds_every_dice_and_iou_with_its_mark(report):
    table = read(render(report, [])).table_with("Hospital", "Mean of classes")
    for site, row in zip(report["sites"], table[2:], strict=False):
        expected = [site, str(report["images"][site]["test"])]
        for name in report["classes"]:
            mark = "●" if name in report["corpora"][site] else "○"
            expected += [mark + shown(report["dice"]["by_site"][site][name])]
            expected += [shown(report["iou"]["by_site"][site][name])]
        assert row[: len(expected)] == expected
        known = [value for value in report["dice"]["by_site"][site].values() if value is not None]
        assert row[len(expected)] == f"{np.mean(known):.3f}"


def test_every_hospital_s_model_is_shown(report):
    page = read(render(report, []))
    tables = [table for table in page.tables if table[0][0] == "Tested on"]
    for model, table in zip(report["sites"], tables, strict=True):
        for site, row in zip(report["sites"], table[1:], strict=True):
            values = report["dice"]["by_model"][model][site].values()
            assert [cell.split()[0] for cell in row[1:-1]] == [shown(value).split()[0] for value in values]


def test_final_matrices_hold_every_pair(report):
    page = read(render(report, []))
    tables = [table for table in page.tables if "host" in table[0][0]]
    for key, table in zip(("emd_similarity", "expert_dice"), tables, strict=True):
        last = report[key]["7"]
        for host, row in zip(report["sites"], table[1:], strict=True):
            expected = [shown(last[host][visitor]) if visitor != host else "" for visitor in report["sites"]]
            assert row == [host, *expected]
    titles = {attributes.get("title") for _, attributes in page.attributes}
    assert f"round 3, human at animal: {report['expert_dice']['3']['animal']['human']:.3f}" in titles


def test_costs_losses_and_settings(report):
    page = read(render(report, []))
    for stage, value in report["seconds"].items():
        assert f"{value:.3f} s" in page.text, stage
    assert page.table_with("Reason")[1] == ["animal", "3", "overseas", "phantom", "no answer within 60 s"]
    settings = {row[0]: row[1] for table in page.tables for row in table if len(row) == 2}
    assert (settings["train.lr"], settings["distil.T"], settings["seed"]) == ("0.001", "2", "0")
    assert settings["nvflare"] == "2.9.0"
    assert report["models"]["human"]["sha256"] in page.text


def test_pictures_are_in_order_and_beside_each_other(report):
    overlays = [fake_overlay(site, index) for index, site in enumerate(SITES)]
    page = read(render(report, overlays))
    labels = [attributes["aria-label"] for tag, attributes in page.attributes if tag == "svg"]
    names = ("image", "truth", "prediction")
    assert labels == [f"{one.site}, {one.caption}: {name}" for one in overlays for name in names]


def test_empty_parts_say_so():
    report = fake_report(sites=("only",), rounds=1)
    report |= {
        "history": [],
        "lost": [],
        "baselines": {},
        "config": {},
        "bytes": {},
        "seconds": {"total": 0},
        "models": {},
    }
    report["dice"]["by_model"] = {}
    report["dice"]["mean"] = None
    page = read(render(report, []))
    for sentence in (
        "images stay at the hospitals",
        "No hospital's own model was evaluated.",
        "No experts were exchanged in this run.",
        "No history was recorded.",
        "No site was lost.",
        "No stage was timed.",
        "No data was sent.",
    ):
        assert sentence in page.text
    assert "img" not in page.tags


def test_a_run_without_a_shared_model_shows_each_model_at_home(report):
    drop_theta(report)
    page = read(render(report, []))
    assert "Θ" not in page.text
    row = page.table_with("Hospital", "Mean of classes")[3]
    home = report["dice"]["by_model"]["human"]["human"]
    assert [MARKS.sub("", cell) for cell in row[2:8:2]] == [shown(value) for value in home.values()]


def test_names_are_escaped_everywhere():
    report = fake_report(sites=(HOSTILE, "b"))
    report["name"] = report["method"] = report["theta"]["path"] = HOSTILE
    report["config"] = {HOSTILE: HOSTILE}
    report["lost"] = [{"site": HOSTILE, "round": 0, "stage": HOSTILE, "visitor": HOSTILE, "reason": HOSTILE}]
    grey = np.zeros((4, 4), np.uint8)
    html = render(report, [Overlay(HOSTILE, HOSTILE, grey, grey, grey)])
    page = read(html)
    assert "script" not in page.tags
    assert "<script" not in html
    assert page.unbalanced == []
    assert HOSTILE in page.text
    assert not [name for _, attributes in page.attributes for name in attributes if "alert" in name]


def test_hostile_classes_and_methods_are_escaped(comparison):
    comparison["methods"][HOSTILE] = comparison["methods"].pop("lone")
    for metric in ("dice", "iou"):
        comparison[metric]["by_method"][HOSTILE] = comparison[metric]["by_method"].pop("lone")
    comparison["classes"] = ["catheter", "guidewire", HOSTILE]
    html = render(comparison, [])
    assert "<script" not in html
    assert HOSTILE in read(html).text


def test_comparison_holds_every_method_class_and_site(comparison):
    page = read(render(comparison, []))
    overview = page.table_with("Method", "Mean pooled Dice")
    assert {row[0]: row[1] for row in overview[1:]} == {
        name: f"{value:.3f}" for name, value in comparison["dice"]["by_method"].items()
    }
    rows = page.table_with("Hospital", "Class", "fedavg")[2:]
    pairs = [(site, name) for site in comparison["sites"] for name in comparison["classes"]]
    for (site, name), row in zip(pairs, rows, strict=True):
        assert (row[0], MARKS.sub("", row[1])) == (site, name)
        runs = comparison["methods"].values()
        expected = [shown(shown_scores(run, metric, site)[name]) for run in runs for metric in ("dice", "iou")]
        assert row[2:] == expected


def test_comparison_has_a_section_per_method(comparison):
    page = read(render(comparison, []))
    assert sum(table[0][-1] == "Mean of classes" for table in page.tables) == 3
    assert page.text.count("No experts were exchanged in this run.") == 2


@pytest.mark.parametrize("sites", [2, 11])
def test_the_page_stays_below_two_megabytes(sites):
    names = tuple(f"hospital-{i}" for i in range(sites))
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (300, 300), dtype=np.uint8)
    masks = fake_overlay(side=300)
    overlays = [Overlay(name, "noise", noise, masks.truth, masks.prediction) for name in names * 4]
    assert len(render(fake_report(sites=names, rounds=30), overlays).encode()) < 2_000_000


def test_the_same_report_is_the_same_page(report):
    assert render(report, [fake_overlay()]) == render(report, [fake_overlay()])
