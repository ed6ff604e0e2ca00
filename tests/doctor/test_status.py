"""How a site is, by what really runs; the exit codes of monitors; what stands in the way of a start."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from fedefm.cli import main
from fedefm.doctor.status import clear, keeper_of, line, running_from, status_of, wait
from fedefm.errors import ConfigError, FedefmError
from fedefm.trust.ledger import JOBS, OUTBOX, Ledger
from support.consortium_certificates import DAY, NOW, Authority
from support.kits import write_kit, write_server_kit


@pytest.fixture(scope="module")
def consortium():
    return Authority()


@pytest.fixture
def listener():
    """The server's port, with somebody who listens there."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


@pytest.fixture
def kit(tmp_path, consortium, listener):
    own = consortium.issue("hospital-a")
    return write_kit(tmp_path / "hospital-a", consortium, own, port=listener.getsockname()[1])


@contextmanager
def process(kit, code="import time; time.sleep(60)", module="nvflare.private.fed.app.client.client_train", cwd=None):
    """A process with the words of FLARE's, which is what a list of processes shows of it."""
    words = [sys.executable, "-c", code, module, "-m", str(kit.folder)]
    with subprocess.Popen(words, cwd=cwd, env=os.environ | {"https_proxy": ""}) as started:
        try:
            yield started
        finally:
            started.kill()


def logged(kit, when):
    text = f"{when:%Y-%m-%d %H:%M:%S},123 FederatedClient INFO Successfully registered client:hospital-a\n"
    (kit.folder / "log.txt").write_text(text)


def connecting(kit):
    _, port = kit.endpoints[0]
    return f"import socket, time; s = socket.create_connection(('127.0.0.1', {port})); time.sleep(60)"


def until_connected(kit):
    deadline = time.monotonic() + 30
    while not status_of(kit).connected:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_site_that_does_not_run_is_critical_whatever_its_files_say(kit):
    for name in ("daemon_pid.fl", "pid.fl"):
        (kit.folder / name).write_text(str(os.getpid()))
    found = status_of(kit)
    assert (found.code, found.process, found.connected) == (2, None, False)
    assert "nothing runs; run startup/start.sh" in line(found)
    assert main(["site", "status", str(kit.folder)]) == 2


def test_a_site_that_runs_and_is_connected_is_well(kit, capsys):
    Ledger(kit.folder, JOBS).append("launched", name="round-1", job_id="j")
    Ledger(kit.folder, OUTBOX).append("sent", job="j")
    with process(kit, connecting(kit)) as started:
        logged(kit, time_now())
        until_connected(kit)
        assert main(["site", "status", str(kit.folder)]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"OK hospital-a: runs as process {started.pid} since ")
        assert "connected" in said and "last job round-1 launched" in said and "good for 8" in said
        assert main(["site", "status", str(kit.folder), "--json"]) == 0
        plain = json.loads(capsys.readouterr().out)
        assert (plain["process"], plain["sent"], plain["problems"]) == (started.pid, 1, [])


def time_now():
    from datetime import datetime

    return datetime.now()


def test_a_site_that_runs_without_a_connection_says_so(kit):
    with process(kit):
        logged(kit, time_now())
        found = status_of(kit)
    assert found.code == 2 and found.process and "not connected to the server" in line(found)


REFUSED, UNANSWERED = (
    "Failed to send heartbeat. Will try again.",
    "timeout on Request 1 for ['heart_beat'] after 30.0 secs",
)


@pytest.mark.parametrize(
    ("text", "ages", "words"),
    [
        (REFUSED, (1, 6), "it is suspended, or its certificate was revoked"),
        (REFUSED, (1,), None),
        (REFUSED, (20, 25), None),
        (REFUSED, (1, 40), None),
        (UNANSWERED, (20, 60), "its kit was renewed, or it is overloaded; run startup/stop_fl.sh"),
        (UNANSWERED, (20,), None),
        (UNANSWERED, (70, 110), None),
    ],
)
def test_a_hospital_whose_heartbeats_are_not_taken_is_not_connected(text, ages, words, kit):
    """FLARE keeps the connection of a hospital that was suspended, or has the ticket of an earlier server."""
    from datetime import timedelta

    with process(kit, connecting(kit)):
        logged(kit, time_now())
        until_connected(kit)
        with (kit.folder / "log.txt").open("a") as log:
            for age in sorted(ages, reverse=True):
                log.write(f"{time_now() - timedelta(seconds=age):%Y-%m-%d %H:%M:%S},1 Communicator INFO {text}\n")
        found = status_of(kit)
        assert (found.connected, found.code) == (words is None, 0 if words is None else 2)
        assert words is None or words in line(found)


def silent(text: str) -> None:
    pass


def test_a_hospital_that_was_not_taken_in_says_why(kit):
    from datetime import timedelta

    why = "the server sends it away (Client 'hospital-a' is disabled); ask the consortium's administrator"
    with (kit.folder / "log.txt").open("w") as log:
        log.write(f"{time_now():%Y-%m-%d %H:%M:%S},1 Authenticator ERROR registration rejected: ")
        log.write("Client 'hospital-a' is disabled\n")
    found = status_of(kit)
    assert found.code == 2 and f"nothing runs: {why}, and once it is let in again" in line(found)
    with pytest.raises(FedefmError, match=f"did not start: {re.escape(why)}$"):
        wait(kit, 5.0, silent)
    text = (kit.folder / "log.txt").read_text()
    long_ago = f"{time_now() - timedelta(minutes=5):%Y-%m-%d %H:%M:%S}"
    (kit.folder / "log.txt").write_text(long_ago + text[len(long_ago) :])
    with pytest.raises(FedefmError, match=r"did not start: it said nothing"):
        wait(kit, 5.0, silent)
    logged(kit, time_now())
    assert "nothing runs; run startup/start.sh" in line(status_of(kit))


def test_a_registration_of_an_earlier_process_does_not_count(kit):
    from datetime import timedelta

    with process(kit, connecting(kit)):
        logged(kit, time_now() - timedelta(hours=1))
        time.sleep(0.5)
        assert not status_of(kit).connected


def test_a_job_process_and_another_kits_process_are_not_the_site(kit, tmp_path, consortium):
    other = write_kit(tmp_path / "other", consortium, consortium.issue("hospital-b"), "hospital-b")
    with process(kit, module="nvflare.private.fed.app.client.worker_process"), process(other):
        assert running_from(kit.folder) is None
        assert running_from(other.folder) is not None


@pytest.mark.parametrize(("days", "code"), [(90, 2), (20, 2), (-1, 2)])
def test_the_days_of_the_certificate_are_told(days, code, tmp_path, consortium):
    own = consortium.issue("hospital-a", begin=NOW - 50 * DAY, end=NOW + days * DAY)
    found = status_of(write_kit(tmp_path / "kit", consortium, own))
    assert found.code == code and found.certificate_days in (days, days - 1)
    assert ("the certificate is over" in line(found)) == (days < 0)
    assert ("ends in" in line(found)) == (0 < days < 30)


def test_a_certificate_that_ends_soon_is_a_warning_by_itself(tmp_path, consortium, listener):
    own = consortium.issue("hospital-a", end=NOW + 20 * DAY)
    kit = write_kit(tmp_path / "kit", consortium, own, port=listener.getsockname()[1])
    with process(kit, connecting(kit)):
        logged(kit, time_now())
        until_connected(kit)
        assert main(["site", "status", str(kit.folder)]) == 1


def test_a_damaged_ledger_is_critical(kit):
    Ledger(kit.folder, JOBS).append("launched", job_id="j")
    (kit.folder / JOBS).write_text("")
    assert "line 1 is missing at its end" in line(status_of(kit))


def test_numbers_of_other_programs_do_not_stand_in_the_way_of_a_start(kit):
    for name in ("daemon_pid.fl", "pid.fl"):
        (kit.folder / name).write_text(str(os.getpid()))  # a live process, and none of the kit's
    assert clear(kit) is None
    assert not (kit.folder / "daemon_pid.fl").exists() and not (kit.folder / "pid.fl").exists()
    assert main(["site", "clear", str(kit.folder)]) == 0


def test_a_site_that_runs_is_not_started_twice(kit, capsys):
    with process(kit) as started:
        (kit.folder / "pid.fl").write_text(str(started.pid))
        assert main(["site", "clear", str(kit.folder)]) == 9
        assert f"hospital-a runs already, as process {started.pid}" in capsys.readouterr().out
        assert (kit.folder / "pid.fl").exists()


def test_the_shell_that_keeps_a_site_running_is_known_by_its_folder(kit, tmp_path):
    script = kit.startup / "sub_start.sh"
    script.write_text("#!/usr/bin/env bash\nsleep 60 & wait\n")
    script.chmod(0o700)
    with subprocess.Popen(["./sub_start.sh"], cwd=kit.startup, start_new_session=True) as started:
        try:
            time.sleep(0.3)
            assert keeper_of(kit.folder).pid == started.pid
            assert keeper_of(tmp_path) is None
            assert "runs already" in clear(kit)
        finally:
            os.killpg(started.pid, 9)


def test_a_port_that_another_program_has_is_named_before_the_server_starts(tmp_path, consortium, listener):
    kit = write_server_kit(tmp_path / "server", consortium, consortium.issue("localhost"))
    port = listener.getsockname()[1]
    server = {"admin_server": "localhost", "admin_port": port, "service": {"target": "localhost:1"}}
    (kit.startup / "fed_server.json").write_text(json.dumps({"servers": [server]}))
    with pytest.raises(ConfigError, match=f"port {port} is taken by another program" if os.geteuid() == 0 else "port"):
        clear(kit)


def test_a_persons_kit_is_no_site(tmp_path, consortium):
    startup = tmp_path / "lead" / "startup"
    consortium.issue("lead", "lead").write(startup, "client")
    (startup / "fed_admin.json").write_text('{"admin": {"username": "lead", "host": "x", "port": 1}}')
    assert main(["site", "status", str(tmp_path / "lead")]) == 2
