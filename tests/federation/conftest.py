"""One provisioned consortium for all tests of this folder, and no process left at the end of any."""

import shutil
import time

import psutil
import pytest

from fedefm.federation.place import provision
from fedefm.federation.rehearsal import synthetic_hospitals
from support.rogues import RUN_TIME, alive


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return provision(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="session")
def folders(place):
    return synthetic_hospitals(place.root / "data", place.hospitals, 0)


@pytest.fixture(autouse=True, scope="module")
def no_process_left():
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + 10
    while left := [p for p in psutil.Process().children(recursive=True) if p.pid not in before and alive(p)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.fixture
def fresh(place, tmp_path):
    """A copy of the whole consortium as it was provisioned, to be damaged."""
    shutil.copytree(place.kits, tmp_path / "prod_00", ignore=RUN_TIME)
    return tmp_path / "prod_00"
