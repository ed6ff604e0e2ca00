"""start.sh in the background says what is true: it serves, another program has the port, or it ended and why."""

import os
import socket
import subprocess

import pytest

from fedefm.cli import main
from fedefm.federation.place import environment
from fedefm.federation.sites import CONSOLE

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]


def script(kit, name):
    """Run a script of a kit as its owner would, and give its exit code and what it said."""
    done = subprocess.run(
        [kit / "startup" / name],
        env=environment(),
        cwd=kit,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_port_that_is_taken_is_told_by_start_itself(place, fresh):
    kit = fresh / place.server
    with socket.create_server(("", place.fl_port)):
        code, said = script(kit, "start.sh")
    assert code == 2 and f"port {place.fl_port} is taken by another program" in said
    assert not (kit / CONSOLE).exists()


@pytest.mark.slow
def test_a_stale_number_does_not_keep_the_server_from_starting_and_started_means_that_it_serves(place, fresh):
    kit = fresh / place.server
    (kit / "daemon_pid.fl").write_text(f"{os.getpid()}\n")  # this very process, which is none of FLARE's
    (kit / "pid.fl").write_text(f"{os.getpid()}\n")
    try:
        code, said = script(kit, "start.sh")
        assert code == 0 and "OK localhost: runs as process" in said and "listens" in said
        assert main(["site", "status", str(kit)]) == 0
        code, said = script(kit, "start.sh")
        assert code == 0 and "localhost runs already, as process" in said
    finally:
        code, said = script(kit, "stop_fl.sh")
    assert code == 0 and "stopped" in said
    assert main(["site", "status", str(kit)]) == 2
    (kit / "daemon_pid.fl").write_text(f"{os.getpid()}\n")
    assert "nothing runs" in script(kit, "stop_fl.sh")[1]


@pytest.mark.slow
def test_a_server_that_ends_at_once_is_not_called_started(place, fresh):
    kit = fresh / place.server
    script_file = kit / "startup" / "sub_start.sh"
    script_file.write_text("#!/usr/bin/env bash\necho 'no such interpreter'\nexit 7\n")
    starter = kit / "startup" / "start.sh"
    starter.write_text(starter.read_text().replace('fedefm doctor "$KIT" --offline\n', ""))  # it would see the change
    code, said = script(kit, "start.sh")
    assert code == 1 and "localhost did not start: no such interpreter" in said
