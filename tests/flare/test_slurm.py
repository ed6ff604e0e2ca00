"""What a hospital's own file says of its cluster, and what of a job's description reaches it; no cluster is needed."""

import json
import shutil
import socket
from pathlib import Path

import pytest
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode
from nvflare.fuel.f3.comm_config import CommConfigurator
from nvflare.utils.job_launcher_utils import get_job_launcher_spec, get_portable_resource_spec

from fedefm.doctor.finding import FAIL, PASS
from fedefm.doctor.machine import SLURM_COMMANDS, cluster
from fedefm.doctor.status import clear
from fedefm.errors import ConfigError
from fedefm.flare.launcher import TolerantHandle, TolerantLauncher, tolerant
from fedefm.flare.site_config import load_site_config
from fedefm.flare.slurm import SlurmJobs, as_the_site_wants
from fedefm.kits.slurm import Slurm, read_slurm
from support.consortium_certificates import Authority
from support.kits import write_kit

SITE = {"parent_host": "login1", "port": 8200, "partition": "gpu", "gpus": 2, "megabytes": 32000}


@pytest.fixture(autouse=True)
def own_configuration(monkeypatch):
    """FLARE keeps it in the process."""
    monkeypatch.setattr(CommConfigurator, "_configuration", None)
    monkeypatch.setattr(CommConfigurator, "_config_loaded", True)


@pytest.fixture
def kit(tmp_path, monkeypatch):
    (tmp_path / "local").mkdir()
    (tmp_path / "startup").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(kit: Path, slurm: object) -> None:
    (kit / "local" / "fedefm_site.json").write_text(json.dumps({"data": "/data", "slurm": slurm}))


def test_without_a_cluster_all_is_as_on_any_machine(kit):
    (kit / "local" / "fedefm_site.json").write_text('{"data": "/data"}')
    assert read_slurm(kit) is None and TolerantLauncher()._cluster is None
    assert CommConfigurator().get_config() is None  # FLARE's default: the loopback
    shutil.rmtree(kit / "local")
    assert read_slurm(kit) is None


def test_with_one_the_site_listens_for_its_nodes_over_mutual_tls(kit):
    write(kit, SITE)
    launcher = TolerantLauncher()
    assert isinstance(launcher._cluster, SlurmJobs)
    found = CommConfigurator().get_config()["internal"]
    assert found == {"scheme": "tcp", "resources": {"host": "0.0.0.0", "port": 8200, "connection_security": "mtls"}}
    config = launcher._cluster.config
    assert (config.workspace_path, config.sandbox, config.parent_host) == (str(kit), "none", "login1")
    assert config.sbatch_directives == {"partition": "gpu"}
    assert "export NVFLARE_SECURE_LOGGING=true PYTHONSAFEPATH=1" in config.setup and config.setup.startswith("umask")
    assert load_site_config(kit / "local", "x").slurm == read_slurm(kit)


@pytest.mark.parametrize(
    "wrong",
    [
        *({}, [], "login1", {"parent_host": ""}, {"parent_host": "a b"}, SITE | {"port": 22}, SITE | {"gpus": -1}),
        *(SITE | {"partition": "gpu --wrap=x"}, SITE | {"sandbox": "apptainer"}, SITE | {"cpus": 0}),
    ],
    ids=str,
)
def test_a_wrong_word_keeps_the_site_from_starting(wrong, kit):
    write(kit, wrong)
    with pytest.raises(ConfigError, match=r"fedefm_site\.json"):
        TolerantLauncher()


HOSTILE = {
    "launcher_spec": {
        "hospital-a": {"slurm": {"nodes": 9, "additional_node_command": "sh -c id", "image": "/evil.sif"}},
        "default": {"slurm": {"gpus_per_node": 64}},
    },
    "resource_spec": {"hospital-a": {"num_of_gpus": 64}, "@default": {"memory": "900Gi"}},
}


def test_what_a_job_says_of_the_cluster_is_dropped():
    assert get_job_launcher_spec(HOSTILE, "hospital-a", "slurm")["nodes"] == 9  # as FLARE would take it
    wanted = as_the_site_wants(HOSTILE | {"name": "x"}, Slurm("login1", gpus=2, megabytes=32000))
    assert get_job_launcher_spec(wanted, "hospital-a", "slurm") == {"gpus_per_node": 2, "mem_per_node": 32000}
    assert get_portable_resource_spec(wanted, "hospital-a") == {} and wanted["name"] == "x"
    assert get_job_launcher_spec(as_the_site_wants(HOSTILE, Slurm("login1")), "hospital-a", "slurm") == {}


class Ended(JobHandleSpec):
    def __init__(self, code):
        self.code = code

    def terminate(self):
        pass

    def poll(self):
        return self.code

    def wait(self):
        pass


@pytest.mark.parametrize("code", [value for name, value in vars(JobReturnCode).items() if name.isupper()])
def test_no_failure_of_a_job_process_is_reported_as_one_of_the_job(code):
    assert tolerant(code) == (code if code == JobReturnCode.SUCCESS else JobReturnCode.UNKNOWN)
    assert TolerantHandle(Ended(code)).poll() == tolerant(code)
    assert TolerantHandle(Ended(JobReturnCode.INFRASTRUCTURE_ERROR)).poll() == JobReturnCode.UNKNOWN


def test_the_doctor_looks_for_slurms_commands_and_for_no_gpu_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(cluster(Slurm("login1")))
    assert [one.status for one in found] == [FAIL] * 4 and "sbatch is not in the PATH" in found[0].text
    for name in SLURM_COMMANDS:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert [one.status for one in cluster(Slurm("login1", partition="gpu"))] == [PASS]


def test_a_port_that_is_taken_is_told_before_the_start(tmp_path):
    consortium = Authority()
    kit = write_kit(tmp_path / "hospital-a", consortium, consortium.issue("hospital-a"))
    kit.local.mkdir()
    with socket.create_server(("", 0)) as taken:
        write(kit.folder, SITE | {"port": taken.getsockname()[1]})
        with pytest.raises(ConfigError, match="is taken by another program"):
            clear(kit)
    assert clear(kit) is None
