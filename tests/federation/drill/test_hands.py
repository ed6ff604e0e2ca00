"""What a drill does to processes: real ones, that do nothing."""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from fedefm.federation.drill.hands import Hands
from fedefm.federation.link import Link
from fedefm.federation.place import Place

PLACE = Place(Path(), Path(), "server", ("b",), {}, 1, 2)  # none of it is touched


@pytest.fixture
def asleep():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def is_stopped(process):
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_end_of_one_freeze_does_not_end_the_next(asleep):
    hands = Hands(PLACE, {"b": asleep}, {}, ExitStack())
    hands.freeze("b", 0.1)
    until(lambda: is_stopped(asleep))
    until(lambda: not is_stopped(asleep))
    hands.freeze("b", 0.3)
    hands.freeze("b", None)
    time.sleep(1.0)
    assert is_stopped(asleep) and hands.until_lost == {"b"}
    hands.undo()
    until(lambda: not is_stopped(asleep))


def test_the_end_of_one_cut_does_not_mend_the_next():
    link = Link(1, 2)
    hands = Hands(PLACE, {}, {"b": link}, ExitStack())
    hands.cut("b", 0.2)
    hands.cut("b", 60.0)
    time.sleep(0.8)
    assert link.cut
    hands.undo()
    assert not link.cut
