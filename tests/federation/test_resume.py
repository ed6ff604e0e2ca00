"""F3, F8 on a real federation: the server is killed and restarted; the old job is closed, the same job goes on."""

import time

import pytest

from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, job_log, signed_job, small_settings
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.simulation.process import kill_tree
from support.rogues import connected, until

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(1200)]


def status_of(lead, job_id):
    return next(one["status"] for one in lead.call("job", "list") if one["job_id"] == job_id)


def test_a_killed_server_closes_its_job_and_the_same_job_goes_on(place, folders, tmp_path):
    settings = small_settings(7)
    lead = Console(place.kit(place.people["lead"]))
    rounds = place.root / "storage" / "rounds"
    with sites.running(place, folders) as processes:
        killed = lead.submit(signed_job(tmp_path / "first", settings, place))
        deadline = time.monotonic() + 300
        while not list(rounds.glob("*/round-000001.json")):
            assert time.monotonic() < deadline, job_log(place, killed).read_text()
            time.sleep(0.05)
        kill_tree(processes[place.server])
        with sites.site_process(place.kit(place.server)):
            sites.wait_until(lambda: sites.listens(place.admin_port), {}, place, "listen")
            until(lambda: connected(lead) == len(folders), 240)
            assert status_of(lead, killed) == "FINISHED:ABANDONED"
            lead.call("job", "delete", killed, "--force")
            again = lead.submit(signed_job(tmp_path / "again", settings, place))
            assert lead.watch(again, JobLog(place, again, lambda event: None), 300.0) == COMPLETED
            record = collect(lead.download(again, tmp_path / "download"), tmp_path / "out")
    assert [item["round"] for item in record["resumed"]] == [1]
    assert [entry["round"] for entry in record["history"]] == [0, 1]
    theta = run_in_process(settings, folders).state.theta
    assert theta is not None and record["theta"]["sha256"] == weights_sha256(theta)
    assert not rounds.exists()
