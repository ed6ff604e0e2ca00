"""`fedefm data cache`: images are prepared before a job, and go away again."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.data.prepared import FOLDER
from fedefm.errors import ConfigError, DataError


def test_a_folder_is_prepared_once_and_the_files_that_cannot_be_read_are_counted(
    consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "cache", str(consortium["east"]), "--size", "32", "--threads", "1", "--cache", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == found["frames"] > 0 and found["unreadable"] == 0
    assert found["megabytes"] == pytest.approx(found["frames"] * 32 * 32 * 5e-6)
    assert Path(found["place"]).parent.parent == tmp_path
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("records-*"))
    assert main(command) == 0
    assert capsys.readouterr().out == f"{found['frames']} frames of {found['files']} files, 0 MB in {found['place']}\n"
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("records-*")) == before
    assert main(["data", "cache", str(consortium["east"]), "--cache", str(tmp_path), "--remove"]) == 0
    assert not list(tmp_path.iterdir()) and "removed: " in capsys.readouterr().out
    assert not (consortium["east"] / FOLDER).exists() or FOLDER not in str(found["place"])


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [(["--size", "0"], ConfigError, "--size"), (["--threads", "0"], ConfigError, "1 or more"), ([], DataError, "none")],
)
def test_wrong_input_ends_in_one_line(
    arguments: list[str], kind: type[ConfigError], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "cache", str(tmp_path / "none"), *arguments]) == kind.exit_code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and named in error and error.count("\n") == 1
