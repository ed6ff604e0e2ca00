"""T8, idle: a hospital that is disabled is sent away, still after the server's restart, until it is enabled again."""

import json
import time

import pytest

from fedefm.doctor import examine, ok
from fedefm.federation.console import Console
from fedefm.federation.sites import CONSOLE, LOG, REGISTERED, listens, site_process, wait_until, write_site_config
from fedefm.trust import read_disabled
from fedefm.trust.disabled import DISABLED_NAME
from support.rogues import Ear

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(600)]

OUT, LONG = "hospital-c", 200.0


def admin(place):
    return Console(place.kit(place.people["project_admin"]))


def serving(place):
    """The server, once it listens."""
    process = site_process(place.kit(place.server))
    started = process.__enter__()
    wait_until(lambda: listens(place.fl_port) and listens(place.admin_port), {place.server: started}, place, "listen")
    return process


def says(line, ear, seconds=60):
    """Whether a log says something within a time."""
    deadline = time.monotonic() + seconds
    said = ""
    while time.monotonic() < deadline:
        said += ear()
        if line in said:
            return True
        time.sleep(0.5)
    return False


def comes_in(place, seconds):
    """Whether the hospital is taken in, seen in its own log, after a start of its own."""
    ear = Ear(place.kit(OUT) / LOG)
    with site_process(place.kit(OUT)):
        return says(REGISTERED, ear, seconds)


def test_t8_disabled_while_idle_still_after_a_restart_and_enabled_again(place, folders):
    server = place.kit(place.server)
    write_site_config(place.kit(OUT), folders[OUT])
    first = serving(place)
    try:
        assert comes_in(place, LONG)
        admin(place).call("system", "disable-client", OUT, "--force", seconds=LONG)
        assert read_disabled(server) == (OUT,)
        assert not comes_in(place, 40)
    finally:
        first.__exit__(None, None, None)
    found = examine(server, offline=True)
    assert ok(found), [one for one in found if one.status == "FAIL"]
    assert [one.text for one in found if one.check == "disabled hospitals"] == [f"{OUT} may not connect"]
    second = serving(place)
    try:
        assert f"{OUT} may not connect" in (server / CONSOLE).read_text()
        assert not comes_in(place, 40)
        admin(place).call("system", "enable-client", OUT, "--force", seconds=LONG)
        assert read_disabled(server) == ()
        assert comes_in(place, LONG)
    finally:
        second.__exit__(None, None, None)
    assert ok(examine(server, offline=True))


def test_a_list_with_more_in_it_than_names_keeps_the_server_from_starting(place, folders):
    server = place.kit(place.server)
    path = server / DISABLED_NAME
    path.write_text(json.dumps({"disabled_clients": [OUT], "class_allow_list": ["os."]}))
    path.chmod(0o600)
    try:
        with site_process(server) as process:
            assert process.wait(LONG) == 1
        assert DISABLED_NAME in (server / CONSOLE).read_text().partition("[FAIL]")[2]
    finally:
        path.unlink()
