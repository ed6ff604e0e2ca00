"""What `make federation` does, and what it refuses."""

import json

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, FedefmError
from fedefm.federation import rehearsal
from fedefm.federation.place import free_ports, provision
from fedefm.models.checkpoint import load_weights
from fedefm.resources import shipped


@pytest.mark.federation
@pytest.mark.timeout(600)
def test_the_federation_gives_the_theta_of_one_process_and_says_how_long_each_step_took(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["federation", "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "federation.json").read_text())
    assert summary["theta"] == summary["expected"] == load_weights(out / "theta.safetensors").sha256
    assert summary["lost"] == []
    steps = ["provision", "data", "reference", "start", "submit", "run", "download", "stop"]
    assert list(summary["seconds"]) == steps
    assert sum(summary["seconds"].values()) < 360
    record = json.loads((out / "record.json").read_text())
    assert set(record["models"]) == {"hospital-a", "hospital-b", "hospital-c"}
    assert {p.name for p in out.iterdir()} == {"theta.safetensors", "record.json", "federation.json"}


def test_another_theta_than_expected_is_a_failure_that_keeps_the_kits(tmp_path, monkeypatch):
    """The comparison alone, on results that a federation might have left."""
    from fedefm.foundation.run import run_in_process
    from fedefm.maths.fingerprint import weights_sha256

    settings = rehearsal.small_settings(0)
    folders = rehearsal.synthetic_hospitals(tmp_path / "data", ("hospital-a", "hospital-b"), 0)
    theta = rehearsal.theta_of(run_in_process(settings, folders).state.theta)
    other = rehearsal.theta_of(run_in_process(rehearsal.small_settings(1), folders).state.theta)
    assert weights_sha256(theta) != weights_sha256(other)
    rehearsal.must_match(tmp_path, weights_sha256(theta), weights_sha256(theta), weights_sha256(theta))
    for found, recorded in [(other, theta), (theta, other)]:
        with pytest.raises(FedefmError, match="Theta differs"):
            rehearsal.must_match(tmp_path, weights_sha256(found), weights_sha256(recorded), weights_sha256(theta))


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "theirs").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        rehearsal.rehearse(tmp_path)


def test_ports_are_free_and_differ():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(1024 <= port < 65536 for port in ports)


@pytest.mark.parametrize(
    ("text", "why"),
    [("- a", "needs name"), ("{", "not a readable YAML"), ("name: x", "needs name")],
    ids=["list", "broken", "short"],
)
def test_a_wrong_project_file_is_refused(tmp_path, text, why):
    path = tmp_path / "project.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        provision(tmp_path / "out", path)


def test_what_provisioning_refuses_is_told(tmp_path):
    path = tmp_path / "project.yml"
    text = (shipped("provisioning") / "project.local.yml").read_text()
    path.write_text(text.replace("role: lead", "role: super"))
    with pytest.raises(FedefmError, match=r"nvflare provision failed: .*role 'super'"):
        provision(tmp_path / "out", path)
