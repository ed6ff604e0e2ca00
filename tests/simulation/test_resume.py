"""F3, F4: real runs of the command are killed with SIGKILL, go on, and end with the Theta of one that was not."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.simulation.run import resume
from fedefm.training.kept import FOLDER, is_kept

pytestmark = pytest.mark.timeout(900)  # each case starts the command twice or more
TESTS = Path(__file__).parents[1]
KILLER = TESTS / "support" / "killer"
SHORT = ["--rounds", "3", "--size", "32", "--no-lone", "--json"]
for _name, _value in {"local_steps": 2, "overseas_steps": 1, "distil_steps": 1}.items():
    SHORT += ["--set", f"schedule.{_name}={_value}"]
ROUND = 4  # files of a round with two hospitals: theta_i of each, Theta, and the round's own
HERE = "--in-process"


def words(consortium: dict[str, Path], out: Path, *more: str) -> list[str]:
    sites = [f"--site={name}={consortium[name]}" for name in ("east", "north")]
    return ["simulate", *sites, *SHORT, *more, "--out", str(out)]


def command(arguments: list[str], kill_at: str = "") -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own, killed there."""
    variables = os.environ | {"KILL_AT": kill_at, "PYTHONPATH": str(KILLER)}
    line = [sys.executable, "-m", "fedefm.cli", *arguments]
    return subprocess.run(line, env=variables, capture_output=True, text=True, timeout=400)


@pytest.fixture(scope="module")
def whole(consortium: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(consortium, out, HERE)) == 0
    return out


def report_of(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def check_same(out: Path, whole: Path) -> None:
    """The same weights and the same story, but for time, and nothing else left."""
    mine, wanted = report_of(out), report_of(whole)
    assert load_weights(out / "theta.safetensors").sha256 == mine["theta"]["sha256"]
    for key in ("theta", "models", "history", "dice", "expert_dice", "emd_similarity", "reputation", "lost"):
        assert mine[key] == wanted[key], key
    names = {"simulator.log", "tb_events", "record.json"}  # of FLARE
    assert {p.name for p in out.iterdir()} - names == {p.name for p in whole.iterdir()}


def check_goes_on(consortium: dict[str, Path], out: Path, whole: Path, *how: str) -> None:
    """A run that was killed is no run; `simulate` says what to do, and `resume` does it."""
    assert not (out / "report.json").exists()
    if is_kept(out / FOLDER):
        refused = command(words(consortium, out, *how))
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1
        assert f"holds a run that is not finished; run `fedefm resume {out}`" in refused.stderr
    assert main(["resume", str(out), "--json"]) == 0
    check_same(out, whole)


BEFORE_COMMIT, AFTER_COMMIT = f"before replace {2 * ROUND}", f"after replace {2 * ROUND}"
HANDFUL = [f"before replace {ROUND - 1}", BEFORE_COMMIT, AFTER_COMMIT, "after unlink 2"]


@pytest.mark.parametrize(
    "moment", [BEFORE_COMMIT, *(pytest.param(one, marks=pytest.mark.slow) for one in HANDFUL if one != BEFORE_COMMIT)]
)
def test_f3_a_killed_run_goes_on_and_ends_with_the_same_theta(
    moment: str, consortium: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    killed = command(words(consortium, tmp_path / "run", HERE), moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    check_goes_on(consortium, tmp_path / "run", whole)


def moments(count: int) -> list[str]:
    source = random.Random(16)
    return [f"{source.choice(('before', 'after'))} replace {source.randint(1, 3 * ROUND)}" for _ in range(count)]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_f4_at_twenty_seeded_moments(consortium: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    for number, moment in enumerate(moments(20)):
        out = tmp_path / str(number)
        killed = command(words(consortium, out, HERE), moment)
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
        check_goes_on(consortium, out, whole)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_f4_at_any_line_that_it_prints(consortium: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    """Between two pieces of work, killed again after it was resumed: never counted twice."""
    source, out = random.Random(5), tmp_path / "run"
    arguments = [word for word in words(consortium, out, HERE) if word != "--json"]
    for number in range(6):
        line = [sys.executable, "-u", "-m", "fedefm.cli", *arguments]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            for _ in range(source.randint(12, 18)):
                process.stdout.readline()
            process.kill()
        if is_kept(out / FOLDER):
            arguments = ["resume", str(out)]
        if (out / "report.json").exists():
            assert number
            break
    if not (out / "report.json").exists():
        check_goes_on(consortium, out, whole)


@pytest.mark.simulator
@pytest.mark.parametrize(
    "moment",
    [pytest.param(m, marks=pytest.mark.slow) for m in (BEFORE_COMMIT, AFTER_COMMIT, f"after replace {ROUND + 1}")],
)
def test_f3_the_server_killed_in_the_simulator(
    moment: str, consortium: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    """The server's process alone is killed; the command notices, says how to go on, and leaves no process."""
    out = tmp_path / "run"
    killed = command(words(consortium, out), moment)
    assert killed.returncode == 1 and f"go on with `fedefm resume {out}`" in killed.stderr.splitlines()[-1]
    check_goes_on(consortium, out, whole)


def interrupted(consortium: dict[str, Path], out: Path) -> None:
    assert command(words(consortium, out, HERE), AFTER_COMMIT).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_f7_a_damaged_round_goes_one_back_and_the_record_says_so(
    consortium: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    interrupted(consortium, out)
    path = next((out / FOLDER).rglob("round-000002.json"))
    path.write_bytes(path.read_bytes()[:100])
    assert main(["resume", str(out), "--json"]) == 0
    check_same(out, whole)
    assert report_of(out)["resumed"] == [{"round": 1, "note": "what was kept of round 2 is damaged"}]
    assert "went on from round 2; what was kept of round 2 is damaged" in (out / "report.html").read_text()


@pytest.mark.slow
def test_a_run_killed_while_it_wrote_its_results_is_written_anew(
    consortium: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    interrupted(consortium, out)
    (out / "models").mkdir()
    (out / "models" / "east.safetensors").write_bytes(b"half")
    (out / "theta.safetensors").write_bytes(b"")
    assert main(["resume", str(out), "--json"]) == 0
    check_same(out, whole)


@pytest.mark.slow
def test_what_changed_the_result_is_refused_in_one_line(
    consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = {name: tmp_path / name for name in ("east", "north")}
    for name, folder in sites.items():
        shutil.copytree(consortium[name], folder)
    out = tmp_path / "run"
    interrupted(sites, out)
    mask = next((sites["north"] / "masks").iterdir())
    before = mask.read_bytes()
    mask.write_bytes(before + b" ")
    assert main(["resume", str(out)]) == 2
    assert "the images of 'north' are not those that this run began with" in capsys.readouterr().err
    mask.write_bytes(before)
    started = out / FOLDER / "run.json"
    plain = json.loads(started.read_text())
    plain["versions"]["torch"] = "0.1"
    started.write_text(json.dumps(plain))
    assert main(["resume", str(out)]) == 2
    said = capsys.readouterr().err
    assert "this run began with 0.1" in said and said.count("\n") == 1


@pytest.mark.slow
def test_two_at_once_are_refused(consortium: dict[str, Path], tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "run"
    interrupted(consortium, out)
    with (out / FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="still at work"):
            resume(out)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(consortium: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    long = ["--rounds", "500"]  # whoever reads its lines late still finds it at work
    arguments = [word for word in words(consortium, out, HERE, *long) if word != "--json"]
    line = [sys.executable, "-u", "-m", "fedefm.cli", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for text in process.stdout:
            if "round 2/500" in text:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"fedefm: stopped; go on with `fedefm resume {out}`"


def test_a_folder_without_a_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path)]) == 2
    assert "holds no run that was interrupted" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_starts_from_an_earlier_theta_and_says_what_it_brought(
    consortium: dict[str, Path], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a third hospital, which joins; killed on the way, too."""
    theta, more = whole / "theta.safetensors", [f"--site=west={consortium['west']}", HERE]
    arguments = [*words(consortium, tmp_path / "run", *more), "--start", str(theta)]
    assert main([*arguments[:-3], str(tmp_path / "same"), *arguments[-2:]]) == 0
    assert command(arguments, "before replace 7").returncode == -signal.SIGKILL
    assert main(["resume", str(tmp_path / "run")]) == 0
    check_same(tmp_path / "run", tmp_path / "same")
    report = report_of(tmp_path / "run")
    assert report["config"]["start_sha256"] == load_weights(theta).sha256
    at_start, before = report["dice"]["by_model"]["start"], report_of(whole)["dice"]["by_site"]
    assert {site: at_start[site] for site in before} == before  # the same weights on the same images
    assert set(at_start) == {"east", "north", "west"}
    assert "Start" in capsys.readouterr().out
    assert "What came since the start" in (tmp_path / "run" / "report.html").read_text()


def test_a_theta_of_other_classes_is_refused(
    consortium: dict[str, Path], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, other = load_weights(whole / "theta.safetensors"), tmp_path / "other.safetensors"
    save_weights(other, found.weights, spec=found.spec, classes=("a", "b", "c"), size=found.size)
    arguments = [*words(consortium, tmp_path / "run", HERE), "--start", str(other)]
    assert main(arguments) != 0
    assert not (tmp_path / "run").exists() and capsys.readouterr().err.count("\n") == 1
