"""One run over mutual TLS: one hospital killed and started again, one slow, one removed, and the server killed.

FLARE 2.9.0 starts no process for a running job at a hospital that was started again: it is back with the next job.
"""

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import psutil
import pytest
import yaml

from fedefm.exchange.events import StageEnded, StageStarted, TaskDone
from fedefm.exchange.messages import Stage
from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.place import PROJECT, provision
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings, synthetic_hospitals
from fedefm.models.checkpoint import load_weights
from fedefm.resources import shipped
from fedefm.simulation.process import kill_tree
from support.rogues import Ear, connected, until
from support.slowing import slowed

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(1800)]

ADMIN = "admin@consortium.test"
WELL, SLOW, KILLED, REMOVED = "hospital-a", "hospital-b", "hospital-c", "hospital-d"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A consortium of four."""
    root = tmp_path_factory.mktemp("four")
    plain = yaml.safe_load((shipped("provisioning") / PROJECT).read_text())
    plain["participants"].insert(4, {"name": "hospital-d", "type": "client", "org": "hospital_d"})
    (root / "four.yml").write_text(yaml.safe_dump(plain, sort_keys=False))
    return provision(root / "place", root / "four.yml")


class Patient(Console):
    """Calls that may take long: five processes share this machine, and one of them is stopped most of the time."""

    def call(self, *words, seconds=400.0):
        return super().call(*words, seconds=seconds)


class Blows:
    """What is done to the hospitals while the job runs; each blow falls once, in a thread of its own."""

    def __init__(self, place, processes, stack):
        self.place, self.processes, self.stack = place, processes, stack
        self.over, self.events, self.threads, self.removed_at = threading.Event(), [], [], None

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and len(self.threads) == 0:
            self.stack.enter_context(slowed(sites.job_process(self.processes[SLOW]), self.over))
            self._start(self.kill_and_restart)
        elif isinstance(event, StageEnded) and event.round == 1 and len(self.threads) == 1:
            self._start(self.remove)

    def _start(self, blow):
        self.threads.append(threading.Thread(target=blow))
        self.threads[-1].start()

    def kill_and_restart(self):
        process = self.processes[KILLED]
        for member in [*sites.family_of(process.pid), psutil.Process(process.pid)]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()
        heard = Ear(self.place.kit(KILLED) / sites.LOG)
        self.stack.enter_context(sites.site_process(self.place.kit(KILLED)))
        until(lambda: sites.REGISTERED in heard(), 240)

    def remove(self):
        Patient(self.place.kit(ADMIN)).call("system", "disable-client", REMOVED, "--force")
        time.sleep(1)
        self.removed_at = len(self.events)


def kept(place):
    """The last round that the server has kept of the job."""
    return max((int(path.stem[-6:]) for path in (place.root / "storage" / "rounds").glob("*/round-*.json")), default=0)


def test_a_run_ends_with_theta_and_its_record_tells_what_happened(place, tmp_path):
    """The job is submitted again after the server's restart, and goes on from the round that was kept."""
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    settings = small_settings(1)
    settings = replace(settings, schedule=replace(settings.schedule, rounds=4))
    lead = Patient(place.kit(place.people["lead"]))
    with ExitStack() as stack, sites.running(place, folders) as processes:
        blows = Blows(place, processes, stack)
        stack.callback(blows.over.set)
        killed = lead.submit(signed_job(tmp_path / "job", settings, place))
        log = JobLog(place, killed, blows)

        def told_of_all():
            log()
            return blows.removed_at is not None and kept(place) > 2

        until(told_of_all, 900)
        for thread in blows.threads:
            thread.join()
        log()
        kill_tree(processes[place.server])
        stack.enter_context(sites.site_process(place.kit(place.server)))
        until(lambda: sites.listens(place.admin_port), 120)
        until(lambda: connected(lead) == 3, 240)
        [stale] = [one["status"] for one in lead.call("job", "list") if one["job_id"] == killed]
        lead.call("job", "delete", killed, "--force")
        job_id = lead.submit(signed_job(tmp_path / "again", settings, place))
        status = lead.watch(job_id, lambda: None, 900.0)
        assert (stale, status) == ("FINISHED:ABANDONED", COMPLETED)
        record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
        stack.close()

    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == record["theta"]["sha256"]
    assert [entry["round"] for entry in record["history"]] == [0, 1, 2, 3]
    [resumed] = record["resumed"]
    assert 1 < resumed["round"] < 4
    told = [(entry["site"], entry["standing"]) for entry in record["standings"]]
    assert (REMOVED, "removed") in told and (KILLED, "away") in told
    assert not [site for site, _ in told if site == WELL]
    late = [e.task.site for e in blows.events[blows.removed_at :] if isinstance(e, TaskDone)]
    assert late and REMOVED not in late and KILLED not in late
    assert {lost["site"] for lost in record["lost"]} <= {SLOW, KILLED, REMOVED}
    last = record["history"][-1]["loss"]["distil"]
    assert WELL in last and KILLED in last and REMOVED not in last  # back in, and who was removed is not
