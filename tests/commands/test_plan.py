"""`fedefm plan`: from a file of counts or from folders, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError

COUNTS = {"a": {"corpus": ["catheter"], "images": 80}, "b": {"corpus": ["guidewire"], "images": 60}}
SMALL = ["--set", "size=32", "--set", "optimisation.batch_size=1"]


def write(path: Path, plain: Any) -> str:
    path.write_text(json.dumps(plain))
    return str(path)


def test_a_plan_from_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = write(tmp_path / "h.json", COUNTS)
    assert main(["plan", "--counts", counts, "--json", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hospitals"]["a"]["unseen"] == {"guidewire": ["b"]}
    assert found["hours"] > max(one["hours"] for one in found["hospitals"].values()) > 0
    assert found["server"]["gb"] == pytest.approx(sum(one["gb"] for one in found["hospitals"].values()))
    assert main(["plan", "--counts", counts, "--hours", "1e-9", *SMALL]) == 0
    assert "hours in place of" in capsys.readouterr().out


def test_a_plan_from_folders(consortium: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = next(iter(consortium.values())).parent
    assert main(["plan", "--sites", str(folder), "--json", *SMALL]) == 0
    assert json.loads(capsys.readouterr().out)["hospitals"]["west"]["images"] == 12


@pytest.mark.parametrize(
    "plain",
    [{}, [], {"a": {}}, {"a": {"corpus": "x", "images": -1}}, {"a": {"corpus": [], "images": 1}},
     {"a": {"corpus": [3], "images": 1}}, {"server": {"corpus": ["x"], "images": 1}},
     {"a": {"corpus": ["x"], "images": True}}],
)  # fmt: skip
def test_counts_that_are_none_are_refused(tmp_path: Path, plain: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--counts", write(tmp_path / "h.json", plain)]) == ConfigError.exit_code
    assert "h.json" in capsys.readouterr().err


def test_counts_and_folders_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--counts", write(tmp_path / "h.json", COUNTS), "--sites", str(tmp_path)]
    assert main(words) == ConfigError.exit_code
    assert "--counts" in capsys.readouterr().err
