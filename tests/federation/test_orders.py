"""T9: a hospital that takes part in a job sends orders that are the server's; the job ends as if it had not."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings, theta_of
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import load_weights
from support.rogue_orders import ROGUE, Rogue, all_of_it, counted, own_work, with_a_rogue_in_it
from support.rogue_site import ANSWERS
from support.rogues import RUN_TIME, Ear, until

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(600)]

TESTS = Path(__file__).parents[1]


@contextmanager
def rogue_site(place, data, folder):
    """A hospital with a component of its own; its kit is no longer what was signed, so it starts unchecked."""
    kit = folder / ROGUE
    shutil.copytree(place.kit(ROGUE), kit, ignore=RUN_TIME)
    with_a_rogue_in_it(kit, str(TESTS))
    sites.write_site_config(kit, data)
    with sites.site_process(kit, "sub_start.sh"):
        sites.wait_until(lambda: sites.registered(kit), {}, place, "register")
        yield kit


@pytest.fixture(scope="module")
def consortium(place, folders, tmp_path_factory):
    """Hospitals a and b as they are, c a rogue."""
    honest = {name: folders[name] for name in place.hospitals if name != ROGUE}
    with (
        sites.running(place, honest),
        rogue_site(place, folders[ROGUE], tmp_path_factory.mktemp("rogue")) as kit,
    ):
        yield kit


def run(place, kit, settings, folder, given):
    """A job in whose midst the rogue sends what `given` makes of the job's id; id, status, rogue, its answers."""
    (kit / ANSWERS).unlink(missing_ok=True)
    lead = Console(place.kit(place.people["lead"]))
    job_id = lead.submit(signed_job(folder / "job", settings, place))
    rogue = Rogue(kit, given(job_id))
    status = lead.watch(job_id, JobLog(place, job_id, rogue), 300.0)
    assert rogue.sent
    until(lambda: rogue.answers() is not None, 100)
    return lead, job_id, status, rogue, rogue.answers()


def test_t9_orders_of_a_hospital_are_ignored_and_the_audit_names_it(place, folders, consortium, tmp_path):
    settings = small_settings(3)
    expected = weights_sha256(theta_of(run_in_process(settings, folders).state.theta))
    log, audit = (Ear(place.kit(place.server) / name) for name in ("log.txt", "audit.log"))
    lead, job_id, status, rogue, answers = run(place, consortium, settings, tmp_path, all_of_it)
    assert status == COMPLETED and rogue.after
    refused = answers[len(own_work(job_id)) :]
    assert answers[0] == "ok" and set(refused) == {"timeout"}  # to orders no word comes back
    record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert record["lost"] == []
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == expected
    until(lambda: counted(audit)[1] >= len(refused), 150)
    assert counted(audit)[0] <= 4 and f"{ROGUE}: a message" in log()
