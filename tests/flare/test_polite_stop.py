"""A hospital that is to stop leaves in FLARE's own way, by the file of `stop_fl.sh` and by the system's signal."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace

from fedefm.flare.polite_stop import PoliteStop, leave, wait_for

SCRIPT = """
import os, signal, sys, threading
from types import SimpleNamespace
from nvflare.apis.event_type import EventType
from fedefm.flare.polite_stop import PoliteStop

left = threading.Event()
workspace = SimpleNamespace(get_root_dir=lambda: sys.argv[1])
engine = SimpleNamespace(shutdown=left.set)
fl_ctx = SimpleNamespace(get_engine=lambda: engine, get_workspace=lambda: workspace)
PoliteStop().handle_event(EventType.SYSTEM_START, fl_ctx)
print("up", flush=True)
print("left" if left.wait(20) else "stayed", flush=True)
sys.stdin.read()
"""


def site(tmp_path, shutdown):
    for name in ("startup", "local"):
        (tmp_path / name).mkdir()
    fl_ctx = FLContext()
    workspace = Workspace(str(tmp_path), "north")

    class Engine:
        def get_workspace(self):
            return workspace

    Engine.shutdown = staticmethod(shutdown)
    fl_ctx.set_prop(ReservedKey.ENGINE, Engine(), private=True, sticky=False)
    fl_ctx.set_prop(ReservedKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)
    return fl_ctx


def test_the_file_of_stop_fl_makes_it_leave_once(tmp_path):
    left = threading.Event()
    fl_ctx, before = site(tmp_path, left.set), signal.getsignal(signal.SIGTERM)
    try:
        PoliteStop().handle_event(EventType.SYSTEM_START, fl_ctx)
        assert not left.wait(1.5)
        (tmp_path / "shutdown.fl").touch()
        assert left.wait(10)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_name_of_the_file_is_the_one_that_our_script_leaves():
    from fedefm.resources import shipped

    script = (shipped("workspace_templates", "hospital", "startup") / "stop_fl.sh").read_text()
    assert 'touch "$KIT/shutdown.fl"' in script


@pytest.mark.parametrize("moment", [EventType.START_RUN, EventType.BEFORE_CLIENT_REGISTER])
def test_the_process_of_a_job_does_not_look(tmp_path, moment):
    (tmp_path / "shutdown.fl").touch()
    left = threading.Event()
    PoliteStop().handle_event(moment, site(tmp_path, left.set))
    assert not left.wait(1.5)


def test_the_first_signal_makes_it_leave_and_the_second_one_ends_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "up\n"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "left\n" and process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == -signal.SIGTERM
        finally:
            process.kill()


def test_nothing_is_left_before_it_is_asked(tmp_path):
    asked, told = threading.Event(), []
    asked.set()
    leave(wait_for(tmp_path / "shutdown.fl", asked), lambda: told.append(os.getpid()))
    assert told == [os.getpid()]
