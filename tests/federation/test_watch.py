"""A job is watched while one hospital is well, one slow, one killed, and one stopped by its own people.

The first three must be told apart at a glance, in a real browser. The one that was stopped politely says so: nobody
waits for it, and the record names the reason.
"""

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import psutil
import pytest
import yaml

from fedefm.errors import ConfigError
from fedefm.exchange.events import StageStarted, TaskLost
from fedefm.exchange.messages import Stage
from fedefm.exchange.status import STATUS_FILE, Condition, JobStatus
from fedefm.federation import sites
from fedefm.federation.console import COMPLETED, Console
from fedefm.federation.place import PROJECT, environment, provision
from fedefm.federation.rehearsal import JobLog, collect, signed_job, small_settings, synthetic_hospitals
from fedefm.flare.presence import Left
from fedefm.flare.watching import watching
from fedefm.resources import shipped
from fedefm.settings import build
from fedefm.simulation.process import kill_tree
from support.browser import browser
from support.rogues import until
from support.slowing import slowed

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(1800)]

WELL, SLOW, KILLED, STOPPED = "hospital-a", "hospital-b", "hospital-c", "hospital-d"
MEMBER = "member@hospital-a.test"
PROMPT = 60.0  # seconds in which a stop must be known; without it the others wait 600 s


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A consortium of four."""
    root = tmp_path_factory.mktemp("watched")
    plain = yaml.safe_load((shipped("provisioning") / PROJECT).read_text())
    plain["participants"].insert(4, {"name": STOPPED, "type": "client", "org": "hospital_d"})
    (root / "four.yml").write_text(yaml.safe_dump(plain, sort_keys=False))
    return provision(root / "place", root / "four.yml")


@contextmanager
def in_background(kit, folder):
    """A hospital as its people start it, without `--once`; in the end nothing of it is left."""
    sites.write_site_config(kit, folder)
    subprocess.run([kit / "startup" / "start.sh"], env=environment(), cwd=kit, check=True, stdout=subprocess.DEVNULL)
    daemon = kit / "daemon_pid.fl"
    until(daemon.exists, 30)
    process = psutil.Process(int(daemon.read_text()))
    try:
        yield
    finally:
        for member in [*sites.family_of(process.pid), process]:
            with suppress(psutil.NoSuchProcess):
                member.kill()


class Blows:
    """What befalls three hospitals as the first visits begin."""

    def __init__(self, place, processes, over, stack):
        self.place, self.processes, self.over, self.stack = place, processes, over, stack
        self.lost, self.stopped_at, self.known_at = [], None, None

    def __call__(self, event):
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and self.stopped_at is None:
            self.stopped_at = time.monotonic()
            threading.Thread(target=self._stop).start()
            sites.job_process(self.processes[KILLED]).kill()
            self.stack.enter_context(slowed(sites.job_process(self.processes[SLOW]), self.over))
        elif isinstance(event, TaskLost):
            self.lost.append((event.lost.site, event.lost.reason))
            if event.lost.site == STOPPED and self.known_at is None:
                self.known_at = time.monotonic()

    def _stop(self):
        script = self.place.kit(STOPPED) / "startup" / "stop_fl.sh"
        subprocess.run([script], env=environment(), check=True, stdout=subprocess.DEVNULL)


@contextmanager
def paged(kit, job_id):
    """The address of `fedefm watch --page`."""
    command = [sys.executable, "-m", "fedefm.cli", "watch", job_id, "--startup-kit", str(kit), "--page"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if "http://" in line)
            yield next(word for word in line.split() if word.startswith("http://"))
        finally:
            kill_tree(process)


def conditions(look):
    status = look().status
    return {} if status is None else {one.site: one.condition for one in status.hospitals}


WANTED = {SLOW: Condition.SLOW, KILLED: Condition.DIED, STOPPED: Condition.STOPPED}


def test_a_well_a_slow_a_killed_and_a_stopped_hospital_are_told_apart(place, tmp_path):
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    settings = small_settings(3)
    steps = {"rounds": 3, "local_steps": 12, "overseas_steps": 4, "distil_steps": 6}
    settings = replace(settings, schedule=replace(settings.schedule, **steps), stage_timeout=600)
    lead, member = Console(place.kit(place.people["lead"])), place.kit(MEMBER)
    over, three = threading.Event(), {name: folders[name] for name in (WELL, SLOW, KILLED)}
    with ExitStack() as stack, sites.running(place, three) as processes:
        stack.callback(over.set)
        stack.enter_context(in_background(place.kit(STOPPED), folders[STOPPED]))
        until(lambda: sites.registered(place.kit(STOPPED)), 120)
        job_id = lead.submit(signed_job(tmp_path / "job", settings, place))
        log = JobLog(place, job_id, blows := Blows(place, processes, over, stack))
        with watching(member, job_id) as look:
            with pytest.raises(ConfigError, match="none of this id"), watching(member, "0" * 36) as other:
                other()

            def as_wanted():
                log()
                return WANTED.items() <= (found := conditions(look)).items() and found[WELL] in (
                    Condition.WORKING,
                    Condition.WAITING,
                )

            until(as_wanted, 300)
            with paged(member, job_id) as url, browser(tmp_path / "profile") as tab:
                tab.call(
                    "Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False
                )
                tab.call("Page.navigate", url=url)
                tab.wait("document.querySelectorAll('.hospital').length == 4")
                shown = {
                    site: tab.ask(f"document.querySelector('#{site} .state').innerText") for site in place.hospitals
                }
                told = tab.ask("document.getElementById('told').innerText")
                tab.shoot(tmp_path / "live.png")
                assert tab.complaints == []
            seen = look().status
            over.set()
            status = lead.watch(job_id, log, 900.0)
            assert look().is_over and look().status is None
        downloaded = lead.download(job_id, tmp_path / "download")

    words = {site: text.split()[-1] for site, text in shown.items()}
    assert {words.pop(WELL)} <= {"working", "waiting"}
    assert words == {site: condition.value for site, condition in WANTED.items()}
    assert told.startswith("round ")
    assert all(one.heartbeat is not None for one in seen.hospitals)
    assert sum(one.sent for one in seen.hospitals) > 0
    assert status == COMPLETED
    assert (STOPPED, Left.STOPPED.value) in blows.lost
    assert blows.known_at - blows.stopped_at < PROMPT
    last = build(JobStatus, json.loads((downloaded / "workspace" / STATUS_FILE).read_text()), "status")
    assert last.end == "finished" and last.job == job_id
    record = collect(downloaded, tmp_path / "out")
    assert Left.STOPPED.value in {lost["reason"] for lost in record["lost"] if lost["site"] == STOPPED}
    assert set(record["history"][-1]["loss"]["distil"]) == {WELL, SLOW}
