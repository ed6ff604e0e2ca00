"""One federation in containers for all tests of this folder, and a table of what was done to it."""

import shutil
import uuid

import pytest

from support.boxes import image as images
from support.boxes.federation import Boxes
from support.boxes.podman import Podman, cache_folder, missing

HEAD = ("what was done", "what was promised", "what happened")


@pytest.fixture(scope="session")
def podman():
    reason = missing()
    if reason:
        pytest.skip(reason)
    engine = Podman(cache_folder(), f"fedefm-{uuid.uuid4().hex[:6]}")
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="session")
def image(podman, tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    name, house = images.image(podman, folder)
    yield name
    shutil.rmtree(house)  # gigabytes


@pytest.fixture(scope="session")
def boxes(podman, image, tmp_path_factory):
    made = Boxes(podman, image, tmp_path_factory.mktemp("boxes"))
    made.prepare()
    made.start_all()
    return made


@pytest.fixture(scope="session")
def table(request):
    """A list of rows, printed when all is over."""
    rows = []
    yield rows
    widths = [max(len(row[i]) for row in [HEAD, *rows]) for i in range(2)]
    lines = [" | ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2])) for row in [HEAD, *rows]]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(lines))
