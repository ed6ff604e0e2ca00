"""Summary, tables, plot and page from made-up results."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.fixed.__main__ import build_parser
from benchmarks.fixed.definition import Case
from benchmarks.fixed.page import BEGIN, END, write_page
from benchmarks.fixed.run import plain_config
from benchmarks.fixed.settings import case_settings
from benchmarks.fixed.summary import summarise
from benchmarks.fixed.tables import (
    ablation,
    all_tables,
    bad_differences,
    bad_hospital,
    by_share,
    differences,
    ratios,
    spread,
)

from fedefm.cli import run
from fedefm.errors import ConfigError
from support.tiny_benchmark import tiny_definition


def result(method: str, test: float, unseen: int = 100, seed: int = 0, **where: str) -> dict[str, Any]:
    case = {"consortium": "four", "method": method, "unseen": unseen, "seed": seed, "scenario": "honest", **where}
    return {
        "definition": "d",
        "case": case,
        "corpora": {site: ["vessel"] for site in ("animal", "human", "phantom", "simulation")},
        "dice": {
            "test": test,
            "validation": test - 0.01,
            "own": test + 0.1,
            "by_site": {"animal": {"vessel": 0.9, "catheter": test}, "human": {"vessel": None, "catheter": test - 0.1}},
        },
        "bytes": {"prepare": 0, "local": 1_000_000, "overseas": 2_000_000, "evaluate": 9, "total": 3_000_009},
        "seconds": {"total": 120.0},
    }


RESULTS = [
    result("fedefm", 0.6, seed=1),
    result("fedefm", 0.4),
    result("fedefm", 0.7, unseen=0),
    result("fedavg", 0.25),
    result("pooled", 0.5),
    result("pooled", 0.8, unseen=0),
    result("constant", 0.45),
    result("fedefm", 0.35, unseen=50, scenario="shifted"),
    result("fedefm", 0.4, unseen=50, scenario="shifted", seed=1),
    result("fedavg", 0.3, unseen=50, scenario="shifted"),
    result("fedefm", 0.2, consortium="gaia"),
]


def test_the_summary_has_one_dice_a_seed_by_method_and_share() -> None:
    summary = summarise(RESULTS)
    assert summary["dice"]["fedefm"] == {"0": {"0": 0.7}, "100": {"0": 0.4, "1": 0.6}}
    assert summary["dice"]["pooled_all"] == {
        "0": {"0": 0.8},
        "100": {"0": 0.8},
    }  # all labels
    assert summary["validation"]["fedavg"] == {"100": {"0": 0.24}}
    assert summary["megabytes"]["fedavg"] == {"100": {"0": 3.0}}
    assert summary["dice four shifted"] == {
        "fedavg": {"50": {"0": 0.3}}, "fedefm": {"50": {"0": 0.35, "1": 0.4}}
    }  # fmt: skip
    assert summary["dice gaia honest"] == {"fedefm": {"100": {"0": 0.2}}}
    assert summarise(reversed(RESULTS)) == summary and json.loads(json.dumps(summary)) == summary
    assert summarise([]) == {}


def test_spread_tells_how_many_seeds_there_were() -> None:
    assert spread({}) == "" and spread({"4": 0.5}) == "0.500 (one seed)"
    assert spread({"0": 0.2, "1": 0.6, "2": 0.1}) == "0.300 (0.100 to 0.600)"


def test_tables_by_hand() -> None:
    summary = summarise(RESULTS)
    assert by_share(summary["dice"], ["fedefm"]).splitlines() == [
        "| method | 0 % unseen | 100 % unseen |",
        "| --- | --- | --- |",
        "| `fedefm` | 0.700 (one seed) | 0.500 (0.400 to 0.600) |",
    ]
    assert "| `fedavg` | 1.60 | 1 |" in ratios(summary["dice"])  # of the seeds that both have
    assert "| `pooled` | 0.80 | 1 |" in ratios(summary["dice"])
    assert "| `fedavg` | 0.300 (one seed) |  |  |" in bad_hospital(summary)
    assert "| `fedavg` | +0.050 (+0.050) |  |  |" in bad_differences(summary)  # of the one seed that both have
    settings = ablation(summary["dice"], summary["validation"]).splitlines()[2:]
    assert [line.split("`")[1] for line in settings] == ["fedefm", "constant"]  # by validation, best first


def test_unseen_classes_are_those_that_a_hospital_does_not_label() -> None:
    unseen = summarise(RESULTS)["unseen"]
    assert unseen["fedefm"]["100"] == pytest.approx({"0": 0.35, "1": 0.55})
    assert unseen["pooled_all"] == {"100": {"0": pytest.approx(0.75)}}  # of the pairs unseen to others' runs


def test_other_tables_stand_on_the_seeds_that_were_searched_on() -> None:
    fresh = [result("fedefm", 0.9, seed=3), result("turns", 0.1, seed=3)]
    before, after = all_tables(summarise(RESULTS)), all_tables(summarise([*RESULTS, *fresh]))
    assert after == before and "0.500 (0.400 to 0.600)" in before


def test_differences_stand_on_fresh_seeds_alone() -> None:
    table = {
        "fedefm": {"100": {"0": 0.9, "3": 0.5, "4": 0.6, "5": 0.7}},
        "fedavg": {"100": {"0": 0.1, "4": 0.5, "5": 0.5, "6": 0.9}},
    }
    [line] = differences(table, "fedefm", ["fedavg", "turns"], "100").splitlines()[2:]
    assert line.startswith("| `fedavg` | +0.150 (") and line.endswith("| 0.500 | 0.500 | 2 |")


def test_tables_of_nothing_are_empty() -> None:
    assert all_tables({}) == ""


def test_the_page_is_renewed_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "benchmark.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_page(summarise(RESULTS), page)
    text = page.read_text()
    assert text.startswith("# Before\n") and text.endswith(f"{END}\nafter\n") and "old" not in text
    assert text.count("### Test Dice by share of unseen labels") == 1
    assert (tmp_path / "images" / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    page.write_text("no mark")
    with pytest.raises(ConfigError, match=r"benchmark\.md"):
        write_page({}, page)


def test_the_command_writes_summary_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = tiny_definition(tmp_path / "b")
    folder = definition.folder / "results" / "four"
    folder.mkdir(parents=True)
    for number, found in enumerate(RESULTS):
        case = Case(**found["case"])
        today = {
            "definition": definition.sha256(case.consortium),
            "config": plain_config(case_settings(definition, case)),
        }
        (folder / f"{number}.json").write_text(json.dumps(found | today))
    (folder / "old.json").write_text(json.dumps(result("fedefm", 0.99) | {"definition": "older"}))
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    assert run(build_parser(), ["tables", "--folder", str(definition.folder), "--page", str(page)]) == 0
    written = json.loads((definition.folder / "results" / "summary.json").read_text())
    assert written == summarise(RESULTS)
    assert "0.500 (0.400 to 0.600)" in page.read_text()
    assert run(build_parser(), ["run", "--folder", str(definition.folder), "--group", "quick", "--list"]) == 0
    assert "6 of 6 runs left" in capsys.readouterr().out
