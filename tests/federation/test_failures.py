"""One hospital's job process is killed in the middle: whatever launcher it has, the others' job goes on."""

import shutil
from contextlib import contextmanager

import pytest

from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings
from fedefm.models.checkpoint import load_weights

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(400)]

OURS = "fedefm.flare.launcher.TolerantLauncher"
FLARES = "nvflare.app_common.job_launcher.client_process_launcher.ClientProcessJobLauncher"


@contextmanager
def with_flares_launcher(place, name, folder):
    """A hospital with FLARE's own launcher; its kit is no longer what was signed, so it starts unchecked."""
    kit = folder / name
    shutil.copytree(place.kit(name), kit, ignore=shutil.ignore_patterns("*.txt", "*.fl", "audit.log"))
    policy = kit / "local" / "resources.json"
    text = policy.read_text()
    assert text.count(OURS) == 1
    policy.write_text(text.replace(OURS, FLARES))
    sites.write_site_config(kit, folder / "data" / name)
    with sites.site_process(kit, "sub_start.sh") as process:
        sites.wait_until(lambda: sites.registered(kit), {}, place, "register")
        yield process


@pytest.fixture(scope="module")
def consortium(place, folders, tmp_path_factory):
    """Hospitals a and b as they are, c with FLARE's launcher."""
    root = tmp_path_factory.mktemp("flares")
    shutil.copytree(folders["hospital-c"], root / "data" / "hospital-c")
    some = {name: folders[name] for name in ("hospital-a", "hospital-b")}
    with sites.running(place, some) as processes, with_flares_launcher(place, "hospital-c", root) as process:
        yield processes | {"hospital-c": process}


def run(place, processes, victim, folder):
    """Submit a job, kill one hospital's job process as its overseas stage begins; id and status of the job."""
    struck = []

    def strike(event):
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and not struck:
            sites.job_process(processes[victim]).kill()
            struck.append(victim)

    lead = Console(place.kit(place.people["lead"]))
    job_id = lead.submit(signed_job(folder / "job", small_settings(1), place))
    status = lead.watch(job_id, JobLog(place, job_id, strike), 200.0)
    assert struck
    return lead, job_id, status


def test_the_others_finish_without_it_and_the_record_says_so(place, consortium, tmp_path):
    lead, job_id, status = run(place, consortium, "hospital-b", tmp_path)
    assert status == COMPLETED
    record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert {lost["site"] for lost in record["lost"]} == {"hospital-b"}
    assert set(record["history"][-1]["loss"]["distil"]) == {"hospital-a", "hospital-c"}
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == record["theta"]["sha256"]


def test_so_they_do_where_a_hospital_with_flares_own_launcher_reports_a_failure(place, consortium, tmp_path):
    """The server takes no hospital's failure for that of the job; FLARE's own server would end it for all."""
    lead, job_id, status = run(place, consortium, "hospital-c", tmp_path)
    assert status == COMPLETED
    record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert {lost["site"] for lost in record["lost"]} == {"hospital-c"}
