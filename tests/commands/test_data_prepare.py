import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedefm.cli import main
from support.exports import PLANTED, frames, planted, save, write_text


def test_no_planted_identifier_is_in_any_message_or_json(tmp_path: Path) -> None:
    source = tmp_path / "export"
    save(planted(frames(1, 1, 96)), source / "QUIXOTE" / "ALONSO.dcm")
    save(planted(write_text(frames(9, 1, 160), "QUIXOTE A"), 9), source / "SANCHO")
    damaged = save(planted(frames(2, 1, 96)), source / "WINDMILL.dcm")
    damaged.write_bytes(damaged.read_bytes()[:-900])
    (source / "MRN-88412").write_bytes(b"\0" * 128 + b"DICM" + b"CERVANTES" * 40)
    for extra in ([], ["--json"]):
        out = tmp_path / f"dst{len(extra)}"
        command = [sys.executable, "-m", "fedefm.cli", "data", "prepare", str(source), str(out), *extra]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not [word for word in PLANTED if word in run.stdout + run.stderr]
    assert json.loads(run.stdout) == {
        "labelled": 0,
        "unlabelled": 1,
        "frames": 1,
        "patients": 1,
        "held_back": 3,
        "text": 1,
        "before": 0,
    }


def test_it_names_the_next_command_and_the_hospitals_own_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(planted(frames(1, 1, 96)), tmp_path / "export" / "a.dcm")
    (tmp_path / "export" / "b.txt").write_text("x")
    assert main(["data", "prepare", str(tmp_path / "export"), str(tmp_path / "dst")]) == 0
    told = capsys.readouterr().out
    assert f"fedefm data check {tmp_path / 'dst'}" in told and "dst-private/held-back.csv" in told


def test_a_mask_pattern_alone_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(planted(frames(1, 1, 96)), tmp_path / "export" / "a.dcm")
    assert main(["data", "prepare", str(tmp_path / "export"), str(tmp_path / "dst"), "--masks", "*.png"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--images" in told
