"""A hospital whose job processes go to a Slurm cluster, over TLS; the cluster is a program that runs them here."""

import json
import os
import shutil
import socket
import ssl
from pathlib import Path

import psutil
import pytest

from fedefm.doctor.examine import examine
from fedefm.doctor.finding import FAIL
from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.federation import sites
from fedefm.federation.console import COMPLETED, Console
from fedefm.federation.place import free_ports
from fedefm.federation.rehearsal import JobLog, collect, signed_job, small_settings, theta_of
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import load_weights
from fedefm.trust.ledger import OUTBOX, Ledger

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(600)]

ON_CLUSTER = "hospital-a"
COMMANDS = ("sbatch", "squeue", "sacct", "scancel")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The commands of Slurm, first in the PATH; the folder of what was submitted."""
    root = tmp_path_factory.mktemp("slurm")
    (root / "bin").mkdir()
    (root / "state").mkdir()
    for name in COMMANDS:
        shutil.copy(Path(__file__).parents[1] / "support" / "fake_slurm" / "sbatch", root / "bin" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        patch.setenv("FAKE_SLURM", str(root / "state"))
        yield root / "state"


@pytest.fixture(scope="module")
def consortium(place, folders, cluster):
    """Three hospitals, of which one names the cluster in its own file."""
    write, (port,) = sites.write_site_config, free_ports(1)
    slurm = {"parent_host": "localhost", "port": port, "partition": "gpu", "cpus": 1, "poll_seconds": 1}

    def with_cluster(kit, data):
        write(kit, data)
        if kit.name == ON_CLUSTER:
            path = kit / "local" / "fedefm_site.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"slurm": slurm}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sites, "write_site_config", with_cluster)
        with sites.running(place, folders):
            yield place
    (place.kit(ON_CLUSTER) / "local" / "fedefm_site.json").unlink()


def submitted(cluster):
    return [json.loads(path.read_text()) for path in sorted(cluster.glob("*.json"))]


def run(place, folder, seed, on_event=lambda event: None):
    lead = Console(place.kit(place.people["lead"]))
    settings = small_settings(seed)
    job_id = lead.submit(signed_job(folder / "job", settings, place))
    assert lead.watch(job_id, JobLog(place, job_id, on_event), 240.0) == COMPLETED
    return collect(lead.download(job_id, folder / "download"), folder / "out"), job_id, settings


def test_a_job_gives_the_theta_of_one_process_and_its_messages_stand_in_the_ledger(
    consortium, folders, cluster, tmp_path
):
    kit = consortium.kit(ON_CLUSTER)
    record, job_id, settings = run(consortium, tmp_path, 0)
    assert record["lost"] == []
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == weights_sha256(
        theta_of(run_in_process(settings, folders).state.theta)
    )
    (one,) = submitted(cluster)
    assert one["code"] == 0 and {"--partition=gpu", "--cpus-per-task=1", "--export=NIL"} <= set(one["arguments"])
    sent = [line for line in Ledger(kit, OUTBOX).read() if line.get("job") == job_id]
    assert len(sent) > 5  # the job process wrote them from where the cluster ran it
    assert [finding.text for finding in examine(kit, offline=True) if finding.status == FAIL] == []


def test_nobody_without_a_certificate_of_the_consortium_reaches_the_port_for_the_nodes(consortium, place):
    port = json.loads((place.kit(ON_CLUSTER) / "local" / "fedefm_site.json").read_text())["slurm"]["port"]
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname = False
    nobody.load_verify_locations(place.kit(ON_CLUSTER) / "startup" / "rootCA.pem")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as bare,
        pytest.raises(ssl.SSLError, match="alert"),
        nobody.wrap_socket(bare) as link,
    ):
        link.sendall(b"hello")
        link.recv(1)


def test_one_whose_node_is_lost_does_not_end_the_others_job(consortium, cluster, tmp_path):
    before, struck = len(submitted(cluster)), []

    def strike(event):
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and not struck:
            leader = psutil.Process(submitted(cluster)[-1]["group"])
            struck.extend(process.pid for process in leader.children(recursive=True))
            for process in leader.children(recursive=True):
                process.kill()

    record, _, _ = run(consortium, tmp_path, 1, strike)
    assert struck and len(submitted(cluster)) == before + 1
    assert {lost["site"] for lost in record["lost"]} == {ON_CLUSTER}
    assert set(record["history"][-1]["loss"]["distil"]) == set(consortium.hospitals) - {ON_CLUSTER}
