"""T1, T3: rogues knock at both ports during a round; none gets in, and Theta is what it is without them."""

from contextlib import ExitStack

import pytest

from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, collect, signed_job, small_settings, theta_of
from fedefm.federation.sites import registered, running, site_process, write_site_config
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import load_weights
from support.http2_peer import context, greet
from support.rogues import Ear, kit_with, pairs, until

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]


def with_the_certificate_of_b(place, folder, port, name="hospital-a"):
    """FLARE's own client that says it is `name`, with the genuine certificate of hospital-b, at either port."""
    kit = kit_with(place.kit(name), place.kit("hospital-b") / "startup", folder)
    path = kit / "startup" / "fed_client.json"
    text = path.read_text()
    assert text.count(f":{place.fl_port}") == 1
    path.write_text(text.replace(f":{place.fl_port}", f":{port}"))
    return kit


def knock(place, certificates):
    """One connection a certificate and port; all end with a refusal."""
    for port in (place.fl_port, place.admin_port):
        for wrong in ("another CA", "expired", "not yet valid", None):
            assert greet(port, context(place, certificates.get(wrong))) is not None


@pytest.mark.slow
def test_t1_t3_the_round_is_untouched_by_whoever_else_knocks(place, folders, tmp_path):
    settings = small_settings(5)
    expected = weights_sha256(theta_of(run_in_process(settings, folders).state.theta))
    certificates = pairs(place, tmp_path / "pairs")
    rogues = [
        with_the_certificate_of_b(place, tmp_path / str(port), port) for port in (place.fl_port, place.admin_port)
    ]
    log = Ear(place.kit(place.server) / "log.txt")
    lead = Console(place.kit(place.people["lead"]))
    with running(place, folders), ExitStack() as stack:
        for kit in rogues:
            stack.enter_context(site_process(kit, "sub_start.sh"))  # a rogue does not ask the doctor
        job_id = lead.submit(signed_job(tmp_path / "job", settings, place))
        assert lead.watch(job_id, lambda: knock(place, certificates), 250.0) == COMPLETED
        record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
        until_refused(log, rogues)
    assert record["lost"] == []
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == expected
    assert log().count("New client hospital-a@") == 1


def until_refused(log, rogues):
    """Both impostors reached the server, which dropped what they sent; neither was taken in."""
    until(lambda: log().count("Error processing frame") >= len(rogues))
    assert not [kit for kit in rogues if registered(kit)]


def test_a_genuine_hospital_would_get_in_at_either_port(place, folders, tmp_path):
    """So that the refusals above say something: at the people's port, too, it is the certificate that counts."""
    kit = with_the_certificate_of_b(place, tmp_path, place.admin_port, "hospital-b")
    write_site_config(kit, folders["hospital-b"])
    with running(place, {}), site_process(kit, "sub_start.sh"):
        until(lambda: registered(kit))
