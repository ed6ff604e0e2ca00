"""Several runs by one call."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, DataError
from fedefm.inference.several import places
from support.runs import cine, pictures, square, weights


def test_each_run_gets_a_folder_that_is_named_like_it(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    sources = [tmp_path / name for name in ("a/run.dcm", "b/run.dcm", "stack.nii.gz", "series", "c/RUN.dcm")]
    assert [place.name for place in places(sources, tmp_path / "out")] == ["run", "run-2", "stack", "series", "RUN-3"]
    assert places(sources[:1], tmp_path / "out") == [tmp_path / "out"]


def test_other_spellings_say_the_same_and_a_list_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(weights(tmp_path / "theta.safetensors")), tmp_path / "out"
    one, other = pictures(tmp_path / "one", 1), cine(tmp_path / "other.dcm", np.stack([square()] * 2))
    command = ["segment", "--model", model, "-o", str(out), "-ot", "dicom_seg,nifti", "--no-video", "--json", str(one)]
    assert main([*command, "-i", str(other)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(run["folder"], run["frames"]) for run in told] == [("one", 1), ("other", 2)]
    assert sorted(path.name for path in out.iterdir()) == ["one", "other"]
    assert (out / "other" / "labels.nii.gz").is_file() and not (out / "other" / "labels").exists()
    assert "seg" not in {path.suffix for path in (out / "one").iterdir()}


def test_a_run_that_cannot_be_opened_ends_it_before_the_first_is_segmented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(weights(tmp_path / "theta.safetensors")), tmp_path / "out"
    good, bad = pictures(tmp_path / "good", 1), tmp_path / "bad.txt"
    bad.write_text("no picture")
    assert main(["segment", str(good), str(bad), "--model", model, "--out", str(out)]) == DataError.exit_code
    assert not out.exists() and "bad.txt" in capsys.readouterr().err
    assert main(["segment", "--model", model, "--out", str(out)]) == ConfigError.exit_code
    assert "no input" in capsys.readouterr().err
