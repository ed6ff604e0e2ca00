"""A throw-away metric, one row and its plain function, shows everywhere and can choose the best round."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedefm.cli import main
from fedefm.data.dataset import load_site
from fedefm.evaluation.measurer import label
from fedefm.metrics import table
from fedefm.metrics.pair import Pair
from fedefm.metrics.table import Metric, Over, Place
from fedefm.models.checkpoint import load_weights
from fedefm.models.restore import restore
from support.thetas import CLASSES, write_theta


def simpson(pair: Pair) -> float:
    """What two regions have in common, as a share of the smaller one (Szymkiewicz and Simpson)."""
    smaller = min(int(pair.prediction.sum()), int(pair.truth.sum()))
    return int((pair.prediction & pair.truth).sum()) / smaller if smaller else 0.0


def add(monkeypatch: pytest.MonkeyPatch, higher_is_better: bool = True) -> None:
    row = Metric(
        "simpson", "Overlap coefficient", "Simpson", Over.EITHER, simpson, higher_is_better, True, frozenset(Place)
    )
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, row))


@pytest.fixture
def theta(tmp_path: Path) -> Path:
    (tmp_path / "foundation").mkdir()
    return write_theta(tmp_path / "foundation" / "theta.safetensors")


def test_it_stands_in_record_page_and_card_of_an_evaluation(
    theta: Path, consortium: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch)
    site, out = f"east={consortium['east']}", tmp_path / "evaluated"
    command = ["evaluate", "--model", f"theta={theta}", "--site", site, "--in-process", "--least-images", "1"]
    assert main([*command, "--out", str(out)]) == 0
    record, page = json.loads((out / "report.json").read_text()), (out / "report.html").read_text()

    cases = list(label(restore(load_weights(theta)), load_site(consortium["east"], CLASSES, 32).test))
    for number, name in enumerate(CLASSES, 1):
        pairs = [Pair(case.prediction == number, case.truth == number) for case in cases]
        expected = [simpson(pair) for pair in pairs if pair.marked or pair.there]
        figure = record["scores"]["theta"]["east"]["by_class"][name]["simpson"]
        assert (figure["mean"], figure["support"]) == (pytest.approx(np.mean(expected), abs=1e-4), len(expected))
    mean = record["matrix"]["simpson"]["theta"]["east"]
    assert "Overlap coefficient" in page and "The higher the better." in page and f"{mean:.3f}" in page
    assert ">Simpson<" in page and f"{figure['mean']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})" in page

    command = ["export", str(theta), "--evaluation", str(out / "report.json"), "--out", str(tmp_path / "card")]
    assert main(command) == 0
    card = (tmp_path / "card" / "MODEL_CARD.md").read_text()
    assert "| Simpson |" in card and f"{figure['mean']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" in card


@pytest.mark.parametrize(("higher_is_better", "choose"), [(True, max), (False, min)])
def test_it_chooses_the_best_round_of_a_fine_tune(
    higher_is_better: bool,
    choose: type,
    theta: Path,
    consortium: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(monkeypatch, higher_is_better)
    command = ["finetune", "--theta", str(theta), "--site", f"east={consortium['east']}", "--metric", "simpson"]
    command += ["--steps", "12", "--rounds", "4", "--in-process", "--out", str(tmp_path / "tuned")]
    assert main(command) == 0
    record = json.loads((tmp_path / "tuned" / "report.json").read_text())
    values = [entry["value"] for entry in record["history"]]
    assert values == [entry["metrics"]["east"]["simpson"] for entry in record["history"]]
    assert len(set(values)) > 1, "values that are all alike choose nothing"
    assert record["best"] == {"round": values.index(choose(values)), "value": choose(values)}
    assert set(record["scores"]["east"]["tuned"]["vessel"]) == {"dice", "iou", "simpson", "support"}
    assert "Simpson" in capsys.readouterr().out


def test_without_its_row_it_is_refused(
    theta: Path, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["finetune", "--theta", str(theta), "--site", f"east={consortium['east']}", "--metric", "simpson"]
    assert main([*command, "--in-process", "--out", str(tmp_path / "tuned")]) == 2
    assert "'simpson' is never reported" in capsys.readouterr().err
