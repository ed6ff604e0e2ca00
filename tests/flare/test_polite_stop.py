"""A hospital that is to stop says good-bye and ends, by the file of `stop_fl.sh` and by the system's signal."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext

from fedefm.flare import polite_stop
from fedefm.flare.polite_stop import PoliteStop, leave
from fedefm.resources import shipped

SCRIPT = """
import sys, time
from types import SimpleNamespace
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace
from fedefm.flare.polite_stop import PoliteStop

def goodbye():
    print("good-bye", flush=True)
    time.sleep(float(sys.argv[2]))

fl_ctx = FLContext()
workspace, engine = Workspace(sys.argv[1]), SimpleNamespace(client=SimpleNamespace(close=goodbye))
for key, value in ((FLContextKey.WORKSPACE_OBJECT, workspace), (ReservedKey.ENGINE, engine)):
    fl_ctx.set_prop(key, value, private=True, sticky=False)
PoliteStop().handle_event(EventType.SYSTEM_START, fl_ctx)
print("up", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def hospital(tmp_path):
    """Starts a process that looks; its good-bye lasts so many seconds."""
    started = []

    for name in ("startup", "local"):
        (tmp_path / name).mkdir()

    def start(seconds=0.0):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[0].stdout.readline() == "up\n"
        return started[0]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_file_of_stop_fl_makes_it_say_good_bye_and_end(hospital, tmp_path):
    process = hospital()
    time.sleep(1.5)
    assert process.poll() is None
    (tmp_path / "shutdown.fl").touch()
    assert process.stdout.readline() == "good-bye\n"
    assert process.wait(20) == -signal.SIGTERM


def test_the_name_of_the_file_is_the_one_that_our_script_leaves():
    script = (shipped("workspace_templates", "hospital", "startup") / "stop_fl.sh").read_text()
    assert 'touch "$KIT/shutdown.fl"' in script


def test_the_signal_of_the_system_does_the_same(hospital):
    process = hospital()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "good-bye\n"
    assert process.wait(20) == -signal.SIGTERM


def test_a_second_signal_ends_it_at_once(hospital):
    process = hospital(seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "good-bye\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(3) == -signal.SIGTERM


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(polite_stop, "GOODBYE_SECONDS", 0.2)
    asked, never, ended = threading.Event(), threading.Event(), []
    asked.set()
    leave(tmp_path / "shutdown.fl", asked, never.wait, lambda: ended.append(1))
    never.set()
    assert ended == [1]


@pytest.mark.parametrize("moment", [EventType.START_RUN, EventType.BEFORE_CLIENT_REGISTER])
def test_the_process_of_a_job_does_not_look(moment):
    before = threading.active_count(), signal.getsignal(signal.SIGTERM)
    PoliteStop().handle_event(moment, FLContext())
    assert (threading.active_count(), signal.getsignal(signal.SIGTERM)) == before
