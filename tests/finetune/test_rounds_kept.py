"""F11: a fine-tune job that is killed goes on from its last round, ends as if it had not been; Theta stays as it is."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fedefm.cli import main
from fedefm.finetune.metric import Best
from fedefm.finetune.rounds_kept import Progress, RoundsKept
from fedefm.finetune.weights import start_weights, with_theta_named
from fedefm.models.build import Weights
from fedefm.simulation.process import kill_tree
from fedefm.training.kept import FOLDER
from support.thetas import job, theta_in, write_theta


def kept_rounds(out: Path) -> int:
    """How many rounds a running job has kept."""
    return max([0, *(int(path.stem.rpartition("-")[2]) for path in out.rglob("round-*.json"))])


def kill_after(rounds: int, command: list[str], out: Path) -> None:
    """Start a job and kill all of its processes once it has kept so many rounds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fedefm.cli", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 150
        while not (out.is_dir() and kept_rounds(out) >= rounds):
            assert process.poll() is None, "the job ended before it was killed"
            assert time.monotonic() < deadline, "the job kept no round in time"
            time.sleep(0.005)
    finally:
        kill_tree(process)


@pytest.mark.parametrize(
    ("how", "rounds"),
    [
        pytest.param([], 6, marks=[pytest.mark.simulator, pytest.mark.slow], id="simulator"),
        pytest.param(["--in-process"], 24, marks=pytest.mark.slow, id="here"),
    ],
)
def test_a_killed_job_goes_on_and_ends_with_the_same_weights(
    how: list[str], rounds: int, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theta, out, records = write_theta(tmp_path / "foundation" / "theta.safetensors"), tmp_path / "killed", {}
    before = theta.read_bytes()
    common = ["finetune", "--theta", str(theta), "--site", f"east={consortium['east']}", "--json"]
    common += ["--steps", str(rounds), "--rounds", str(rounds), "--metric", "loss"]
    kill_after(2, [*common, *how, "--out", str(out)], out)
    assert not (out / "tuned.safetensors").exists() and not (out / "report.json").exists()
    for name, extra in (("killed", how), ("whole", ["--in-process"])):
        assert main([*common, *extra, "--out", str(tmp_path / name)]) == 0
        records[name] = json.loads(capsys.readouterr().out)
    assert records["killed"]["model"] == records["whole"]["model"]
    for key in ("history", "best", "scores"):
        assert records["killed"][key] == records["whole"][key]
    assert records["killed"]["resumed"] and not records["whole"]["resumed"]
    assert records["killed"]["bytes"]["tune"] < records["whole"]["bytes"]["tune"]  # it did not start again
    assert theta.read_bytes() == before
    assert not list(tmp_path.rglob(FOLDER)) and not (out / "simulator").exists()


@pytest.fixture
def kept(tmp_path: Path) -> RoundsKept:
    settings = job()
    return RoundsKept(tmp_path / FOLDER, settings, ["east"])


@pytest.fixture
def start(tmp_path: Path) -> Weights:
    return start_weights(theta_in(tmp_path), job())


def progress(start: Weights, rounds: int = 1) -> Progress:
    return Progress(
        {name: value + 1 for name, value in start.items()}, start, Best(0, 0.5), ({"round": 0, "value": 0.5},) * rounds
    )


def test_what_is_kept_comes_back_and_the_same_weights_lie_there_once(
    kept: RoundsKept, start: Weights, tmp_path: Path
) -> None:
    wanted = progress(start, 2)
    kept.save(progress(start, 1))
    kept.save(wanted)
    found = kept.load()
    assert found is not None
    assert (found.chosen, found.history) == (wanted.chosen, wanted.history)
    assert all(torch.equal(found.best[name], value) for name, value in wanted.best.items())
    assert all(torch.equal(found.weights[name], value) for name, value in wanted.weights.items())
    files = sorted(p.name for p in (tmp_path / FOLDER).rglob("*.*"))
    assert files[-2:] == ["round-000001.json", "round-000002.json"] and len(files) == 4
    kept.remove()
    assert not (tmp_path / FOLDER).exists() and kept.load() is None


def test_another_job_does_not_go_on_from_it(kept: RoundsKept, start: Weights, tmp_path: Path) -> None:
    kept.save(progress(start))
    for settings, sites in ((job(seed=1), ["east"]), (job(), ["east", "north"]), (job(mode="head"), ["east"])):
        assert RoundsKept(tmp_path / FOLDER, settings, sites).load() is None
    assert RoundsKept(tmp_path / FOLDER, job(theta_sha256="0" * 64), ["east"]).load() is None
    again = RoundsKept(tmp_path / FOLDER, job(name="again", theta="x"), ["east"]).load()
    assert again is not None and again.history


def test_a_damaged_round_gives_the_one_before_and_says_so(kept: RoundsKept, start: Weights, tmp_path: Path) -> None:
    kept.save(progress(start, 1))
    kept.save(progress(start, 2))
    next((tmp_path / FOLDER).rglob("round-000002.json")).write_bytes(b"{")
    found = RoundsKept(tmp_path / FOLDER, job(), ["east"]).load()
    assert found is not None
    assert (len(found.history), found.note) == (1, "what was kept of round 2 is damaged")


def test_rounds_from_another_theta_are_another_job(tmp_path: Path) -> None:
    """Also where the job's own settings take any Theta."""
    theta = theta_in(tmp_path)
    named = with_theta_named(job(), theta)
    assert named.theta_sha256 == theta.sha256 and with_theta_named(job(), None) == job()
    RoundsKept(tmp_path / FOLDER, named, ["east"]).save(progress(start_weights(theta, named)))
    assert RoundsKept(tmp_path / FOLDER, named, ["east"]).load() is not None
    assert RoundsKept(tmp_path / FOLDER, job(), ["east"]).load() is None
