"""Processes like those of FLARE's simulator below this one, of which some are killed."""

import subprocess
import sys
import time

import pytest

from fedefm.flare import simulated_sites
from fedefm.flare.simulated_sites import WORKER, SimulatedSites


@pytest.fixture
def workers():
    """Starts a process whose command line is that of a hospital in the simulator; none is left in the end."""
    started = []

    def start(site):
        command = [sys.executable, "-c", "import time; time.sleep(60)", "-m", WORKER, "--client", site]
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_killed_hospital_is_known_at_once_though_nobody_asked_for_its_exit_code(workers):
    processes = {site: workers(site) for site in "abc"}
    dead = SimulatedSites("abc")
    assert dead() == frozenset()
    processes["b"].kill()
    deadline = time.monotonic() + 5
    while dead() != {"b"}:
        assert time.monotonic() < deadline


def test_a_process_that_has_not_started_yet_is_not_dead_nor_is_one_that_takes_turns(workers, monkeypatch):
    monkeypatch.setattr(simulated_sites, "LOOK_SECONDS", 0.0)
    dead, first = SimulatedSites("ab"), workers("a")
    assert dead() == frozenset()
    first.kill()
    first.wait()
    second = workers("b")  # with one thread FLARE ends each hospital's process after a task
    assert dead() == frozenset()
    second.kill()
    second.wait()
    assert dead() == frozenset()


def test_where_there_is_no_simulator_nobody_is_dead():
    assert SimulatedSites("ab")() == frozenset()
    assert SimulatedSites([])() == frozenset()
