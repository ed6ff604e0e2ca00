"""T3, the other way round: a site's certificate serves as server."""

import shutil
import time

import pytest

from fedefm.federation.sites import listens, registered, site_process, write_site_config
from support.http2_peer import PATIENCE, context, greet
from support.rogues import RUN_TIME

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]


def test_t3_a_hospitals_certificate_does_not_serve_as_server(place, folders, tmp_path):
    """An impostor with a genuine certificate of hospital-b, at the server's own address and ports."""
    impostor = tmp_path / "server"
    shutil.copytree(place.kit(place.server), impostor, ignore=RUN_TIME)
    for ending in ("crt", "key"):
        shutil.copy(place.kit("hospital-b") / "startup" / f"client.{ending}", impostor / "startup" / f"server.{ending}")
    victim = tmp_path / "hospital-a"
    shutil.copytree(place.kit("hospital-a"), victim, ignore=RUN_TIME)
    write_site_config(victim, folders["hospital-a"])
    with site_process(impostor, "sub_start.sh"):
        deadline = time.monotonic() + 60
        while not listens(place.fl_port):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        for port in (place.fl_port, place.admin_port):
            assert greet(port, context(place, victim / "startup")) == "CERTIFICATE_VERIFY_FAILED"
        with site_process(victim, "sub_start.sh"):  # the doctor would refuse to start it at all
            time.sleep(PATIENCE)
            assert (victim / "log.txt").exists()
            assert not registered(victim)
    assert "New client" not in (impostor / "log.txt").read_text()
