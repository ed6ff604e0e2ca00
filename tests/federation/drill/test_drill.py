"""Real drills: `fedefm rehearse` over mutual TLS, to its end, and broken off."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, FedefmError
from fedefm.federation.drill import drill, read_fault
from fedefm.federation.drill.faults import Kind
from fedefm.federation.place import environment
from fedefm.models.checkpoint import load_weights
from fedefm.resources import shipped

pytestmark = pytest.mark.federation


def no_process_of(folder):
    """Waits until no process has this folder in its command line."""
    deadline = time.monotonic() + 30
    while left := [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_consortium_rehearses_under_its_own_names_and_gets_its_file(tmp_path, capsys):
    """One hospital behind a thin line, one frozen, the server killed, one suspended: in one job, all judged."""
    out = tmp_path / "out"
    faults = ["--slow", "a=8mbit", "--freeze", "hospital-b@1", "--restart", "server@2", "--disable", "c@3"]
    project = shipped("provisioning") / "project.yml"
    code = main(["rehearse", *faults, "--project", str(project), "--out", str(out), "--deadline", "1500", "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "drill.json").read_text())
    assert (code, summary["kept"]) == (0, True), summary
    assert [fault["typed"].split()[0] for fault in summary["faults"]] == ["slow", "freeze", "restart", "disable"]
    assert summary["server"] == "fedefm.example.org"
    assert summary["lost"] == ["hospital-b", "hospital-c"]
    assert summary["theta"] == load_weights(out / "theta.safetensors").sha256
    record = json.loads((out / "record.json").read_text())
    assert [item["round"] for item in record["resumed"]] == [1]
    page = (out / "drill.html").read_text()
    assert all(fault["done"] in page for fault in summary["faults"]) and "broken" not in page
    assert not (out / "work").exists()
    no_process_of(out)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "end"])
def test_who_breaks_it_off_leaves_no_process(number, tmp_path):
    """In the middle of a job: as a person would, and its exit code is that of all our commands."""
    out = tmp_path / "out"
    words = ["rehearse", "--freeze", "b@1", "--cut", "c@1:300", "--out", str(out)]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "fedefm.cli", *words], env=environment(), stdout=said, stderr=said
        )
        try:
            deadline = time.monotonic() + 600
            while "local" not in (tmp_path / "said").read_text():
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "said").read_text()
                time.sleep(0.2)
            time.sleep(2)  # the faults fall: one hospital is frozen, one is cut off
            process.send_signal(number)
            assert process.wait(120) == 130
        finally:
            process.kill()
            process.wait()
    no_process_of(out)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--kill", "b"], "--kill b: write HOSPITAL@ROUND, such as --kill b@3"),
        (["--kill", "b@2", "--freeze", "b@3"], "hospital-b is out of the job from round 2 on"),
        (["--project", "nowhere.yml"], "nowhere.yml: not a readable YAML file"),
    ],
)
def test_what_cannot_be_played_ends_with_2_before_anything_starts(words, why, tmp_path, capsys):
    assert main(["rehearse", *words, "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "theirs").touch()
    with pytest.raises(ConfigError, match="is not an empty folder"):
        drill(tmp_path, [read_fault(Kind.KILL, "b@1", ("a", "b"))])


def test_a_project_without_a_lead_is_refused(tmp_path):
    project = tmp_path / "project.yml"
    text = (shipped("provisioning") / "project.local.yml").read_text()
    project.write_text("\n".join(line for line in text.splitlines() if "lead@" not in line))
    faults = [read_fault(Kind.KILL, "b@1", ("hospital-a", "hospital-b"))]
    with pytest.raises(FedefmError, match="has no person with role lead"):
        drill(tmp_path / "out", faults, project=project, say=lambda step: None)
