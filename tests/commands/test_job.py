"""`fedefm job write`: what the lead signs and submits."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.flare.job_folder import FOUNDATION
from fedefm.foundation.methods import job_settings
from fedefm.trust import sign_job, verify_job
from support.consortium_certificates import Authority


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", ["moon", "uniform", "fedefm"])
def test_a_method_becomes_a_plain_job_folder(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "job"
    assert main(["job", "write", "--method", method, "--out", str(out)]) == 0
    assert files(out) == files(FOUNDATION)
    assert job_settings(out) == job_settings(method=method)
    meta = json.loads((out / "meta.json").read_text())
    assert meta == json.loads((FOUNDATION / "meta.json").read_text()) | {"name": method}
    for name in ("config_fed_server.json", "config_fed_client.json"):
        assert (out / "app/config" / name).read_bytes() == (FOUNDATION / "app/config" / name).read_bytes()
    assert f"job '{method}'" in capsys.readouterr().out


def test_settings_and_a_graph_go_into_the_job_which_can_be_signed(tmp_path: Path) -> None:
    graph, out, consortium = tmp_path / "graph.json", tmp_path / "job", Authority()
    graph.write_text('{"edges": [["a", "b"]]}')
    given = ["schedule.min_sites=3", f"topology={graph}", "name=trial"]
    sets = [word for text in given for word in ("--set", text)]
    assert main(["job", "write", "--method", "ring", "--out", str(out), *sets]) == 0
    settings = job_settings(out)
    assert (settings.schedule.method, settings.topology, settings.name) == ("ring", "graph.json", "trial")
    assert (out / "app" / "config" / "graph.json").read_text() == graph.read_text()
    meta = json.loads((out / "meta.json").read_text())
    assert (meta["name"], meta["min_clients"]) == ("trial", 3)
    again = tmp_path / "again"  # a job folder of one's own can be the start of the next
    assert main(["job", "write", "--job", str(out), "--out", str(again), "--set", "schedule.rounds=1"]) == 0
    assert files(again) == files(out) and job_settings(again).schedule.rounds == 1
    lead = consortium.issue("lead", "lead")
    sign_job(out, *lead.write(tmp_path / "lead", "client"))
    (manifest,) = verify_job(out, consortium.root.write(tmp_path / "root", "root")[0])
    assert manifest.subject == "trial"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--method", "moan"], "did you mean 'moon'"),
        (["--method", "moon", "--set", "schedule.round=1"], "did you mean 'rounds'"),
        (["--method", "moon", "--set", "schedule.method=ring"], "'moon' is named already"),
        (["--method", "pooled"], "needs all images in one process"),
        (["--job", "none"], "cannot be read"),
    ],
)
def test_a_wrong_job_is_refused_in_one_line_and_nothing_is_written(
    options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["job", "write", "--out", str(tmp_path / "job"), *options]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and error.count("\n") == 1 and named in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "write", "--out", str(tmp_path)]) == ConfigError.exit_code
    assert "is there already" in capsys.readouterr().err and not list(tmp_path.iterdir())
