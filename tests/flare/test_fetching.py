"""Tensors fetched between two of FLARE's end points over the loopback, from hospitals that serve them well or badly."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import psutil
import pytest
import torch
from nvflare.apis.signal import Signal
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.utils.fobs import dots
from nvflare.fuel.utils.fobs.decomposers.via_downloader import LazyDownloadRef

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.federation.place import free_ports
from fedefm.flare.fetching import Expected, TooSlowError, bound_messages, fetch
from support import tensor_sender
from support.end_points import forgotten_after
from support.rogues import until
from support.tensor_sender import LENGTH, NAMES

pytestmark = pytest.mark.timeout(240)
SITE = "b"
NUMBERS = count()
TENSORS = {name: torch.full((LENGTH,), float(name[1:])) for name in NAMES}
LIMIT_MEGABYTES = 100  # the weights have 0.04; what is left is FLARE's own


@pytest.fixture(scope="module")
def server():
    """The server's end point, and where hospitals find it."""
    [port] = free_ports(1)
    url = f"tcp://localhost:{port}"
    with forgotten_after("server"):
        cell = Cell("server", url, secure=False, credentials={}, create_internal_listener=False)
        cell.start()
        yield SimpleNamespace(url=url, cell=cell)
        cell.stop()


def connected(cell, site):
    """Wait until the server's end point knows the hospital: its side of the connection is made a little later."""
    end = time.monotonic() + 60
    while site not in cell.core_cell.agents:
        assert time.monotonic() < end, f"{site} never came"
        time.sleep(0.01)


@contextmanager
def sender(server, how):
    """A hospital of a name of its own that serves: its process, what its result holds for weights, what may come."""
    site = f"b{next(NUMBERS)}"
    process = subprocess.Popen(
        [sys.executable, tensor_sender.__file__, server.url, site, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = next(line for line in process.stdout if line.startswith("{"))
        connected(server.cell, site)
        ref = json.loads(line)["ref"]
        until(lambda: server.cell.core_cell.is_cell_reachable(site))
        value = {name: LazyDownloadRef(site, ref, name, dots.TENSOR_DOWNLOAD) for name in TENSORS}
        yield process, value, Expected.like(site, TENSORS)
    finally:
        process.kill()
        process.communicate()


class Memory:
    """Megabytes by which this process grew at most, in a `with` block."""

    def __enter__(self):
        self._over, self._process = threading.Event(), psutil.Process()
        self._begin = self.most = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._over.wait(0.01):
            self.most = max(self.most, self._process.memory_info().rss)

    def __exit__(self, *exc):
        self._over.set()
        self._thread.join()

    @property
    def growth(self):
        return (self.most - self._begin) / 1e6


EXPECTED = Expected.like(SITE, TENSORS)


def test_what_is_served_well_comes_whole(server):
    with sender(server, "well") as (_, value, expected):
        got = fetch(value, expected, server.cell, Signal(), 100.0)
    assert got.keys() == TENSORS.keys() and all(torch.equal(got[name], TENSORS[name]) for name in TENSORS)


def test_what_may_come_is_what_the_task_brings_else_tensors_like_the_students():
    offer = Task(Stage.OFFER, 0, "a", "b")
    assert Expected.of(Assignment(offer, {}, {"offered": 1000})) == Expected("a", {"offered": 1000})
    student = Assignment(Task(Stage.LOCAL, 0, "a", "a"), {STUDENT: TENSORS})
    assert Expected.of(student) == Expected.like("a", TENSORS)
    assert Expected.of(Assignment(offer, {})).sizes == {}


@pytest.mark.parametrize("how", ["slow", "nothing"])
def test_a_hospital_that_serves_slowly_or_without_end_is_left_in_time(server, how):
    with sender(server, how) as (_, value, expected):
        begin = time.monotonic()
        with pytest.raises(TooSlowError, match="did not come within 3 s"):
            fetch(value, expected, server.cell, Signal(), 3.0)
        assert time.monotonic() - begin < 10


def test_a_hospital_whose_process_stands_still_is_left_in_time(server):
    with sender(server, "well") as (process, value, expected):
        process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(TooSlowError):
            fetch(value, expected, server.cell, Signal(), 3.0)
        assert time.monotonic() - begin < 10


def test_the_end_of_the_run_ends_a_fetch(server):
    abort = Signal()
    with sender(server, "slow") as (_, value, expected):
        threading.Timer(1.0, abort.trigger, (True,)).start()
        begin = time.monotonic()
        with pytest.raises(ProtocolError, match="could not be fetched"):
            fetch(value, expected, server.cell, abort, 100.0)
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("how", "reason"),
    [("endless", "more than the weights"), ("many", "more than the weights"), ("text", "no tensor")],
)
def test_more_or_other_bytes_than_the_weights_have_are_not_taken(server, how, reason):
    with sender(server, how) as (_, value, expected), Memory() as memory:
        begin = time.monotonic()
        with pytest.raises(ProtocolError, match=reason):
            fetch(value, expected, server.cell, Signal(), 100.0)
        assert time.monotonic() - begin < 50
    assert memory.growth < LIMIT_MEGABYTES


def test_a_message_that_is_larger_than_all_weights_is_refused_before_it_is_in_memory(server):
    bound_messages(server.cell, EXPECTED.limit)
    with sender(server, "huge") as (_, value, expected), Memory() as memory, pytest.raises(ProtocolError):
        fetch(value, expected, server.cell, Signal(), 30.0)
    assert memory.growth < LIMIT_MEGABYTES


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"T9": None}, "other tensors"),
        ({"T10": "T10"}, "other tensors"),
        ({"T9": torch.zeros(1)}, "no tensor"),
        ({"T9": LazyDownloadRef(SITE, "R", "T9", 1)}, "no tensor"),
        ({"T9": LazyDownloadRef(SITE, "another", "T9", dots.TENSOR_DOWNLOAD)}, "several places"),
        ({"T9": LazyDownloadRef(SITE, "R", "T8", dots.TENSOR_DOWNLOAD)}, "one of them twice"),
    ],
)
def test_what_is_not_offered_as_expected_is_not_asked_for(change, reason):
    value = {name: LazyDownloadRef(SITE, "R", name, dots.TENSOR_DOWNLOAD) for name in TENSORS} | change
    value = {name: item for name, item in value.items() if item is not None}
    with pytest.raises(ProtocolError, match=reason):
        fetch(value, EXPECTED, None, Signal(), 1.0)  # without an end point nothing can be asked for


@pytest.mark.parametrize("where", ["c", "server", "c.job", "bb", None])
def test_tensors_of_another_hospital_are_not_asked_for(where):
    value = {name: LazyDownloadRef(where, "R", name, dots.TENSOR_DOWNLOAD) for name in TENSORS}
    with pytest.raises(ProtocolError, match="another hospital"):
        fetch(value, EXPECTED, None, Signal(), 1.0)


@pytest.mark.parametrize("value", [None, 5, {}, {"w": torch.zeros(2)}, ["w"]])
def test_what_holds_no_reference_is_given_back_as_it_is(value):
    assert fetch(value, EXPECTED, None, Signal(), 1.0) is value


def test_a_task_that_brings_no_weights_back_may_fetch_none():
    with pytest.raises(ProtocolError, match="other tensors"):
        fetch({"w": LazyDownloadRef(SITE, "R", "T0", dots.TENSOR_DOWNLOAD)}, Expected(SITE, {}), None, Signal(), 1.0)


def test_the_limit_is_little_more_than_the_tensors():
    size = sum(tensor.numel() * 4 for tensor in TENSORS.values())
    assert size < EXPECTED.limit <= 1.01 * size + 1024 * len(TENSORS)
