"""F9: one run over mutual TLS whose links are slow, dropped, half open, and lost for a minute.

Two of three hospitals reach the server through a link that this test holds: their kits say so, and TLS goes through it
from end to end.
"""

import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.link import Link, carrying
from fedefm.federation.place import provision
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings, synthetic_hospitals
from fedefm.models.checkpoint import load_weights

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(1500)]

WELL, SLOW, LOST = "hospital-a", "hospital-b", "hospital-c"
MINUTE, LATENCY = 60.0, 0.05
DEADLINE = 900.0


class Faults:
    """What happens to the links while the job runs; each fault once."""

    def __init__(self, slow: Link, lost: Link):
        self.slow, self.lost, self.threads = slow, lost, []
        slow.delay = LATENCY

    def __call__(self, event):
        if isinstance(event, StageStarted) and event.stage is Stage.DISTIL and not self.threads:
            self.threads.append(threading.Thread(target=self.drop_then_half_open))
            self.threads[0].start()

    def drop_then_half_open(self):
        """Connections of one hospital are dropped; those of the other are held for a while, then its port is lost."""
        self.slow.drop()
        self.lost.held = True
        time.sleep(10)
        self.lost.cut, self.lost.held = True, False
        time.sleep(MINUTE)
        self.lost.cut = False


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The consortium of three on this machine, two of them behind a link."""
    return provision(tmp_path_factory.mktemp("links"), links=(SLOW, LOST))


@pytest.fixture(scope="module")
def links(place):
    return {name: Link(port, place.fl_port) for name, port in place.links.items()}


def test_f9_a_run_ends_by_its_deadline_whatever_its_links_do(place, links, tmp_path):
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    settings = small_settings(1)
    settings = replace(settings, schedule=replace(settings.schedule, rounds=4))
    lead = Console(place.kit(place.people["lead"]))
    with ExitStack() as stack:
        for link in links.values():
            stack.enter_context(carrying(link))
        stack.enter_context(sites.running(place, folders))
        assert all(link.carried for link in links.values())
        faults = Faults(links[SLOW], links[LOST])
        begin = time.monotonic()
        job_id = lead.submit(signed_job(tmp_path / "job", settings, place))
        log = JobLog(place, job_id, faults)
        status = lead.watch(job_id, log, DEADLINE)
        took = time.monotonic() - begin
        for thread in faults.threads:
            thread.join()
        record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert status == COMPLETED and took < DEADLINE and faults.threads
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == record["theta"]["sha256"]
    assert [entry["round"] for entry in record["history"]] == [0, 1, 2, 3]
    assert {lost["site"] for lost in record["lost"]} <= {SLOW, LOST}
    assert all(WELL in entry["loss"]["distil"] for entry in record["history"])
