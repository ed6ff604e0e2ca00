"""F9, T8, T9 and the faults of a service, on a federation of containers that have addresses of their own.

The tests run in this order on one federation, and each leaves it whole. Hospital b has a thin line all the time, and
hospital c reaches the server through a proxy alone. Every job is bounded in time, whatever happens to it.
"""

import threading
import time
from dataclasses import replace

import pytest

from fedefm.exchange.events import StageStarted, TaskLost
from fedefm.exchange.messages import Stage
from fedefm.federation.rehearsal import COMPLETED, small_settings
from fedefm.foundation.run import run_in_process
from fedefm.kits.kit import LOG
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import load_weights
from support.boxes.federation import DESK, HOSPITALS, SERVER
from support.boxes.rogue import rogue
from support.rogue_orders import ROGUE, Rogue, all_of_it, counted, own_work
from support.rogues import Ear, until

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(1800)]

PLAIN, THIN, BEHIND = HOSPITALS
RATE, DELAY = "4mbit", "0.05"
MINUTE, DEADLINE = 60.0, 900.0


def settings(seed, rounds=2, timeout=120):
    """The foundation job, shortened; who is silent is waited for as long as `timeout`."""
    short = small_settings(seed)
    return replace(short, stage_timeout=timeout, schedule=replace(short.schedule, rounds=rounds))


def theta(boxes, job):
    """Hash of the Theta that a job published, after a look at the file itself."""
    record = boxes.results(job)
    assert load_weights(boxes.root / "out" / job.id / "theta.safetensors").sha256 == record["theta"]["sha256"]
    return record


@pytest.fixture(scope="session")
def expected(boxes):
    """Hash of the Theta that one process makes of the same data, with `settings(0)`."""
    return weights_sha256(run_in_process(settings(0), boxes.folders).state.theta)


class Once:
    """Does something in a thread of its own, when a stage of a round begins for the first time."""

    def __init__(self, stage, number, deed):
        self.stage, self.number, self.deed, self.thread = stage, number, deed, None

    def __call__(self, event):
        begins = isinstance(event, StageStarted) and event.stage is self.stage and event.round == self.number
        if begins and self.thread is None:
            self.thread = threading.Thread(target=self.deed, daemon=True)  # a broken test must end
            self.thread.start()

    def join(self):
        assert self.thread is not None, "the stage never began"
        self.thread.join()


def lost(record):
    return sorted({entry["site"] for entry in record["lost"]})


def test_thin_line_and_proxy_give_the_theta_of_one_process(boxes, table, expected):
    boxes.slow(THIN, RATE)
    before = boxes.sent_slowly(THIN)
    found = boxes.inside(BEHIND, "fedefm", "doctor", "/kit")
    assert f"[PASS] network: {SERVER}:8002 through the proxy " in found
    straight = f"import socket; socket.create_connection(({boxes.address(SERVER)!r}, 8002), 5)"
    with pytest.raises(AssertionError, match="Network is unreachable"):
        boxes.inside(BEHIND, "python3", "-c", straight)
    job = boxes.submit(settings(0))
    assert boxes.watch(job, DEADLINE) == COMPLETED
    record = theta(boxes, job)
    assert record["lost"] == [] and set(record["models"]) == set(HOSPITALS)
    assert record["theta"]["sha256"] == expected
    slowly = boxes.sent_slowly(THIN) - before
    assert slowly > 100_000
    assert f"{SERVER}:8002 open" in (boxes.root / "proxy" / "log").read_text()
    page = boxes.inside(DESK, "fedefm", "report", f"/work/download-{job.id}/{job.id}")
    assert "report" in page
    table.append((
        f"{THIN} on {RATE}, {BEHIND} behind a proxy", "nobody lost, Theta of one process",
        f"so in {job.seconds:.0f} s; {slowly / 1e6:.1f} MB through the thin line",
    ))  # fmt: skip


def test_t9_orders_of_a_rogue_are_refused_and_the_audit_names_its_certificate(boxes, table, expected):
    log, audit = (Ear(boxes.kit(SERVER) / name) for name in (LOG, "audit.log"))
    with rogue(boxes, ROGUE) as kit:
        job = boxes.submit(settings(0))
        sender = Rogue(kit, all_of_it(job.id))
        assert boxes.watch(job, DEADLINE, sender) == COMPLETED
        until(lambda: sender.answers() is not None, 100)
        answers = sender.answers()
        refused = answers[len(own_work(job.id)) :]
        assert sender.after and answers[0] == "ok" and set(refused) == {"timeout"}  # to orders no word comes back
        until(lambda: counted(audit)[1] >= len(refused), 150)
    assert f"{ROGUE}: a message" in log()
    record = theta(boxes, job)
    assert record["lost"] == [] and set(record["models"]) == set(HOSPITALS)
    assert record["theta"]["sha256"] == expected
    boxes.until_connected(set(HOSPITALS))
    table.append((
        f"T9: {ROGUE} sends {len(refused)} orders that are the server's, in mid-job",
        "each refused, the audit names the certificate; nobody lost, Theta of one process",
        f"so in {job.seconds:.0f} s; {counted(audit)[1]} messages refused in {counted(audit)[0]} lines of the audit",
    ))  # fmt: skip


def test_a_link_cut_for_a_minute(boxes, table):
    def cut():
        boxes.cut(PLAIN)
        time.sleep(MINUTE)
        boxes.mend(PLAIN)

    fault = Once(Stage.OVERSEAS, 0, cut)
    job = boxes.submit(settings(1))
    assert boxes.watch(job, DEADLINE, fault) == COMPLETED
    fault.join()
    record = theta(boxes, job)
    assert [entry["round"] for entry in record["history"]] == [0, 1]
    assert set(lost(record)) <= {PLAIN} and PLAIN in record["history"][-1]["loss"]["distil"]
    boxes.until_connected(set(HOSPITALS))
    table.append((
        f"link of {PLAIN} cut for {MINUTE:.0f} s in round 1", "Theta within the deadline; in again by the last round",
        f"so in {job.seconds:.0f} s; lost: {lost(record) or 'nobody'}",
    ))  # fmt: skip


def test_f9_delayed_dropped_and_half_open(boxes, table):
    proxy = boxes.root / "proxy"

    def hold():
        (proxy / "drop").touch()
        time.sleep(5)
        (proxy / "held").touch()
        time.sleep(10)
        (proxy / "held").unlink()

    (proxy / "delay").write_text(DELAY)
    fault = Once(Stage.DISTIL, 0, hold)
    job = boxes.submit(settings(2))
    try:
        assert boxes.watch(job, DEADLINE, fault) == COMPLETED
        fault.join()
    finally:
        (proxy / "delay").unlink()
    record = theta(boxes, job)
    assert "dropped" in (proxy / "log").read_text()
    assert len(record["history"]) == 2 and set(lost(record)) <= {BEHIND}
    assert BEHIND in record["history"][-1]["loss"]["distil"]
    boxes.until_connected(set(HOSPITALS))
    table.append((
        f"connections of {BEHIND} delayed, dropped, then half open for 10 s", "Theta within the deadline",
        f"so in {job.seconds:.0f} s; lost: {lost(record) or 'nobody'}",
    ))  # fmt: skip


def test_a_frozen_hospital_is_left_behind_and_comes_back(boxes, table):
    thawed = []

    def thaw_when_lost(event):
        fault(event)
        if isinstance(event, TaskLost) and event.lost.site == THIN and not thawed:
            thawed.append(event.lost.reason)
            boxes.thaw(THIN)

    fault = Once(Stage.OVERSEAS, 0, lambda: boxes.freeze(THIN))
    job = boxes.submit(settings(3, rounds=3, timeout=60))
    assert boxes.watch(job, DEADLINE, thaw_when_lost) == COMPLETED
    fault.join()
    record = theta(boxes, job)
    assert thawed and lost(record) == [THIN] and len(record["history"]) == 3
    boxes.until_connected(set(HOSPITALS))
    boxes.slow(THIN, RATE)
    table.append((
        f"{THIN} frozen in round 1, thawed when it was lost", "named as lost, Theta of the others, and it is back",
        f"so in {job.seconds:.0f} s; {thawed[0]}",
    ))  # fmt: skip


def test_a_killed_hospital_is_named_and_comes_in_again(boxes, table):
    fault = Once(Stage.OVERSEAS, 0, lambda: boxes.kill(PLAIN))
    before = boxes.registrations(PLAIN)
    job = boxes.submit(settings(4, timeout=60))
    assert boxes.watch(job, DEADLINE, fault) == COMPLETED
    fault.join()
    boxes.start(PLAIN)
    record = theta(boxes, job)
    assert lost(record) == [PLAIN] and PLAIN not in record["history"][-1]["loss"]["distil"]
    boxes.until_registered(PLAIN, before)
    table.append((
        f"{PLAIN} killed in round 1, started after the job", "named as lost, Theta of the others; then in again",
        f"so in {job.seconds:.0f} s",
    ))  # fmt: skip


def test_a_restarted_server_closes_its_job_and_the_same_job_goes_on(boxes, table):
    rounds, four = boxes.root / "storage" / "rounds", settings(0, rounds=4)  # so that the job is not over meanwhile
    expected = weights_sha256(run_in_process(four, boxes.folders).state.theta)
    job, begin = boxes.submit(four), time.monotonic()
    while not list(rounds.glob("*/round-000001.json")):
        assert time.monotonic() - begin < DEADLINE
        time.sleep(0.1)
    boxes.kill(SERVER)
    boxes.start(SERVER)
    boxes.until_connected(set(HOSPITALS))
    assert boxes.status_of(job) == "FINISHED:ABANDONED"
    again = boxes.submit(four)
    assert boxes.watch(again, DEADLINE) == COMPLETED
    record = theta(boxes, again)
    (gone_on,) = [item["round"] for item in record["resumed"]]
    assert 1 <= gone_on < 4
    assert record["lost"] == [] and set(record["models"]) == set(HOSPITALS)  # who was killed before is one of them
    assert record["theta"]["sha256"] == expected
    table.append((
        "server killed in round 2 of 4, and started", "the same job goes on, and ends with the Theta of one process",
        f"so: resumed at round {gone_on + 1}, {again.seconds:.0f} s",
    ))  # fmt: skip


def test_t8_disabled_while_idle_after_a_restart_and_in_mid_job(boxes, table):
    others = {PLAIN, THIN}
    boxes.nvflare("system", "disable-client", BEHIND, "--force", kit="/admin")
    boxes.until_connected(others)
    boxes.kill(SERVER)
    boxes.start(SERVER)
    boxes.until_connected(others)
    assert f"{BEHIND} may not connect" in boxes.said(SERVER)
    idle = boxes.submit(settings(6))
    assert boxes.watch(idle, DEADLINE) == COMPLETED
    assert set(theta(boxes, idle)["models"]) == others
    boxes.nvflare("system", "enable-client", BEHIND, "--force", kit="/admin")
    boxes.until_connected(set(HOSPITALS))
    disable = ["nvflare", "system", "disable-client", BEHIND, "--force", "--startup-kit", "/admin"]
    fault = Once(Stage.LOCAL, 0, lambda: boxes.inside(DESK, *disable))
    job = boxes.submit(settings(7, rounds=3))
    assert boxes.watch(job, DEADLINE, fault) == COMPLETED
    fault.join()
    record = theta(boxes, job)
    assert "removed" in [entry["standing"] for entry in record["standings"] if entry["site"] == BEHIND]
    assert BEHIND not in record["history"][-1]["loss"]["distil"]
    boxes.nvflare("system", "enable-client", BEHIND, "--force", kit="/admin")
    boxes.until_connected(set(HOSPITALS))
    table.append((
        f"T8: {BEHIND} disabled while idle, over a restart, and in mid-job", "no work, no result, not let in again",
        f"so; named as removed in the record, Theta of the others in {job.seconds:.0f} s",
    ))  # fmt: skip
