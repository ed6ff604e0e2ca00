"""A job with code in it, from a server that lets it pass: each hospital decides for itself."""

from contextlib import ExitStack

import pytest

from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JOB, small_settings
from fedefm.federation.sites import listens, registered, site_process, write_site_config
from fedefm.flare.job_folder import write_job
from support.rogues import Ear, change, kit_with, until
from support.unchecked_jobs import sign_unchecked

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]

OURS = "fedefm.flare.submitted_jobs.SubmittedJobs"
FLARES = "nvflare.apis.impl.job_def_manager.SimpleJobDefManager"
EVIL = "open({marker!r}, 'a').write('ran')\nfrom fedefm.flare.foundation_executor import *\n"


@pytest.fixture
def lenient(place, folders, tmp_path):
    """The three hospitals as they were provisioned; a server whose policy lets the lead bring code."""
    server = kit_of(place, place.server, "server", tmp_path)
    change(server / "local" / "authorization.json", "permissions", "lead", "byoc", value="any")
    policy = server / "local" / "resources.json"
    policy.write_text(policy.read_text().replace(OURS, FLARES))
    kits = {name: kit_of(place, name, "client", tmp_path) for name in place.hospitals}
    with ExitStack() as stack:
        stack.enter_context(site_process(server, "sub_start.sh"))  # the doctor would refuse to start it
        until(lambda: listens(place.fl_port) and listens(place.admin_port), seconds=90)
        for name, kit in kits.items():
            write_site_config(kit, folders[name])
            stack.enter_context(site_process(kit))
        for kit in kits.values():
            until(lambda kit=kit: registered(kit), seconds=90)
        yield kits


def kit_of(place, name, side, folder):
    return kit_with(place.kit(name), place.kit(name) / "startup", folder / "kits", side)


@pytest.mark.slow
def test_a_job_with_code_in_it_runs_at_no_hospital_though_lead_and_server_let_it(place, lenient, tmp_path):
    write_job(tmp_path / JOB, small_settings())
    job, marker = tmp_path / JOB, tmp_path / "marker"
    (job / "app" / "custom").mkdir()
    (job / "app" / "custom" / "evil.py").write_text(EVIL.format(marker=str(marker)))
    change(job / "app/config/config_fed_client.json", "executors", 0, "executor", "path", value="evil.HospitalExecutor")
    startup = place.kit(place.people["lead"]) / "startup"
    sign_unchecked(job, startup / "client.crt", startup / "client.key")
    logs = {name: Ear(kit / "log.txt") for name, kit in lenient.items()}
    lead = Console(place.kit(place.people["lead"]))
    job_id = lead.submit(job)
    assert lead.watch(job_id, lambda: None, 120.0) != COMPLETED
    assert not marker.exists()
    for name, log in logs.items():
        assert "'byoc' is not as it was signed" in log()  # a server that hides this key meets the hospital's own policy
        assert not (lenient[name] / job_id / "log.txt").exists()
