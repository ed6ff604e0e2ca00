"""What a network has seen is told by the report of its run, and by nothing else."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.inference.trained_on import SYNTHETIC_ONLY, knows_synthetic_only
from fedefm.models.checkpoint import load_weights
from support.fake_report import fake_report
from support.runs import pictures, weights


def told_by(path: Path, synthetic: list[str] | None, sha256: str) -> None:
    report = fake_report()
    report["synthetic"] = report["sites"] if synthetic is None else synthetic
    report["theta"]["sha256"] = sha256
    path.with_name("report.json").write_text(json.dumps(report))


def test_only_a_run_whose_hospitals_were_all_synthetic_counts(tmp_path: Path) -> None:
    found = load_weights(weights(tmp_path / "theta.safetensors"))
    assert knows_synthetic_only(found) is None
    told_by(found.file, None, found.sha256)
    assert knows_synthetic_only(found) is True
    told_by(found.file, ["human"], found.sha256)
    assert knows_synthetic_only(found) is False
    told_by(found.file, None, "0" * 64)
    assert knows_synthetic_only(found) is None
    found.file.with_name("report.json").write_text("{")
    assert knows_synthetic_only(found) is None


def test_the_terminal_and_the_page_warn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = weights(tmp_path / "theta.safetensors")
    run, command = pictures(tmp_path / "run", 1), ["segment", "--model", str(model), "--format", "page", "--no-video"]
    assert main([*command, "--out", str(tmp_path / "unknown"), str(run)]) == 0
    printed = capsys.readouterr().out
    assert SYNTHETIC_ONLY not in printed and "no millimetres: the input does not say" in printed
    told_by(model, None, load_weights(model).sha256)
    assert main([*command, "--out", str(tmp_path / "known"), str(run)]) == 0
    assert SYNTHETIC_ONLY in capsys.readouterr().out
    assert [SYNTHETIC_ONLY in (tmp_path / out / "index.html").read_text() for out in ("unknown", "known")] == [0, 1]
