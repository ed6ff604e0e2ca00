"""`fedefm report`: the page of what a federation's job left, whatever kind of job it was."""

import json
import shutil
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, TrustError
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import save_weights
from support.small_networks import SMALLEST

LEFT = Path("workspace") / "foundation"


def run(arguments: list[str]) -> None:
    assert main(arguments) == 0


@pytest.fixture(scope="module")
def finished(consortium: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of each kind as `nvflare job download` brings it: its record, and its weights, without a report."""
    root = tmp_path_factory.mktemp("finished")
    sites = [word for site in ("east", "north") for word in ("--site", f"{site}={consortium[site]}")]
    small = [f"--set=schedule.{name}=1" for name in ("rounds", "local_steps", "overseas_steps", "distil_steps")]
    network = ["--set", f"model={json.dumps(SMALLEST.to_dict())}", "--size", "32"]
    theta = root / "theta.safetensors"
    weights = initial_weights(SMALLEST, 4, 32, 0)
    save_weights(theta, weights, spec=SMALLEST, classes=("catheter", "guidewire", "vessel"), size=32)
    commands = {
        "foundation": ["simulate", *sites, *small, *network, "--no-lone"],
        "finetune": ["finetune", *sites, "--theta", str(theta), "--rounds", "2", "--steps", "2"],
        "evaluation": ["evaluate", *sites, "--model", f"theta={theta}", "--least-images", "1"],
        "data_report": ["data", "report", *sites],
    }
    for kind, command in commands.items():
        out = root / "results" / kind / LEFT
        run([*command, "--in-process", "--json", "--out", str(out)])
        (out / "report.json").rename(out / "record.json")
        (out / "report.html").unlink(missing_ok=True)
    return root / "results"


@pytest.fixture
def downloads(finished: Path, tmp_path: Path) -> dict[str, Path]:
    """A copy of them, by kind."""
    shutil.copytree(finished, tmp_path / "results")
    return {folder.name: folder for folder in sorted((tmp_path / "results").iterdir())}


def test_every_kind_of_job_gets_its_page(downloads: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"foundation": "Lost sites", "finetune": "before and after", "evaluation": "Every model", "data_report": ""}
    capsys.readouterr()
    for kind, folder in downloads.items():
        record = json.loads((folder / LEFT / "record.json").read_text())
        run(["report", str(folder)])
        page = folder / LEFT / "report.html"
        said = capsys.readouterr().out
        assert f"report: {page}" in said
        assert "east" in said
        assert "east" in page.read_text()
        assert shown[kind] in page.read_text()
        assert json.loads((folder / LEFT / "report.json").read_text()) == record


def test_out_and_json(downloads: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    run(["report", str(downloads["finetune"] / LEFT / "record.json"), "--out", str(tmp_path / "page"), "--json"])
    assert json.loads(capsys.readouterr().out)["kind"] == "finetune"
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"report.html", "report.json"}


def test_a_plan_stands_beside_what_the_job_took(
    downloads: dict[str, Path], consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "plan.json", downloads["foundation"]
    capsys.readouterr()
    run(["plan", *[f"--site={site}={consortium[site]}" for site in ("east", "north")], "--size", "32", "--json"])
    plan = json.loads(capsys.readouterr().out)
    path.write_text(json.dumps(plan))
    run(["report", str(folder), "--plan", str(path)])
    assert "Planned" in capsys.readouterr().out and "Planned: " in (folder / LEFT / "report.html").read_text()
    planned = json.loads((folder / LEFT / "report.json").read_text())["planned"]
    assert planned["seconds"] == pytest.approx(plan["hours"] * 3600) and planned["bytes"] >= planned["least_bytes"] > 0
    with pytest.raises(ConfigError, match="leave --plan out"):
        raise_from(["report", str(downloads["finetune"]), "--plan", str(path)])
    for text, reason in {"{": "is no plan", "[]": "is no plan", json.dumps(plan | {"hours": -1}): "seconds"}.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            raise_from(["report", str(folder), "--plan", str(path)])
    with pytest.raises(ConfigError, match="check the path"):
        raise_from(["report", str(folder), "--plan", str(tmp_path / "none")])


def test_weights_that_are_not_those_of_the_record_are_refused(downloads: dict[str, Path]) -> None:
    folder = downloads["foundation"] / LEFT
    for other in ("theta", "models/north"):
        shutil.copy(folder / f"{other}.safetensors", folder / "kept")
        shutil.copy(folder / "models" / "east.safetensors", folder / f"{other}.safetensors")
        with pytest.raises(TrustError, match="is not what the record names"):
            raise_from(["report", str(folder)])
        shutil.copy(folder / "kept", folder / f"{other}.safetensors")
    assert not (folder / "report.html").exists()


def raise_from(arguments: list[str]) -> None:
    """Run a command and let its error through."""
    from fedefm.cli import build_parser

    options = build_parser().parse_args(arguments)
    options.run(options)


def test_a_record_that_names_files_elsewhere_reads_none(downloads: dict[str, Path], tmp_path: Path) -> None:
    path = downloads["finetune"] / LEFT / "record.json"
    record = json.loads(path.read_text())
    for place in ("../../theta.safetensors", str(tmp_path / "theta.safetensors")):
        path.write_text(json.dumps(record | {"model": record["model"] | {"path": place}}))
        run(["report", str(path)])


def test_what_is_no_job_is_said_in_one_line(downloads: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for place, reason in ((empty, "holds no record.json"), (tmp_path / "none", "holds no record.json")):
        with pytest.raises(ConfigError, match=reason):
            raise_from(["report", str(place)])
    with pytest.raises(ConfigError, match="holds 4 jobs"):
        raise_from(["report", str(tmp_path / "results")])
    path = empty / "record.json"
    wrong = {"{": "is no record", "[]": "is no record", '{"kind": "x"}': "has no page", "{}": "schema"}
    for text, reason in wrong.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            raise_from(["report", str(path)])
    record = json.loads((downloads["finetune"] / LEFT / "record.json").read_text())
    for key in ("history", "scores", "config", "sites", "best"):
        path.write_text(json.dumps({name: value for name, value in record.items() if name != key}))
        with pytest.raises(ConfigError, match="is no record"):
            raise_from(["report", str(path)])
