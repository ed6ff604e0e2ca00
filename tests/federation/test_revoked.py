"""A deny list in a real federation: nobody on it comes in, no job of a lead on it runs, still after a restart."""

import dataclasses
import json

import pytest

from fedefm.cli import main
from fedefm.errors import FedefmError
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, signed_job, small_settings
from fedefm.federation.sites import LOG, REGISTERED, running, site_process, write_site_config
from fedefm.flare.expiry import expiry_of
from fedefm.trust import read_disabled
from fedefm.trust.certificates import end_of, load_certificate
from support.rogues import Ear, until

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(900)]

OUT = "hospital-c"
REFUSED = "was revoked by the consortium"


def revoke(place, who, folder, *takers):
    """A project admin revokes a participant, and these sites take the list."""
    out = folder / "fedefm-revoked.json"
    kit = place.kit(place.people["project_admin"])
    words = ["trust", "revoke", str(place.kit(who) / "startup" / "client.crt"), "--kit", str(kit), "--out", str(out)]
    assert main(words) == 0
    for name in takers:
        assert main(["site", "revoked", str(place.kit(name)), str(out)]) == 0


def test_who_is_revoked_is_out_at_once_and_after_a_restart(place, folders, fresh, tmp_path):
    place = dataclasses.replace(place, kits=fresh)
    server, lead = place.kit(place.server), place.people["lead"]
    others = [name for name in place.hospitals if name != OUT]
    with running(place, folders):
        log = Ear(server / LOG)
        ends = {name: end_of(load_certificate(place.kit(name) / "startup" / "client.crt")) for name in place.hospitals}
        assert ends.items() <= expiry_of(server).sites.items()  # as whoever watches a job is told
        revoke(place, OUT, tmp_path, place.server)  # while it is connected
        until(lambda: OUT in read_disabled(server), 60)
        assert f"{OUT}: its certificate was revoked" in log()
        revoke(place, lead, tmp_path, *others)  # the server has not heard of it: hospitals decide for themselves
        ears = {name: Ear(place.kit(name) / LOG) for name in others}
        console = Console(place.kit(lead))
        job_id = console.submit(signed_job(tmp_path, small_settings(), place))
        assert console.watch(job_id, lambda: None, 300.0) != COMPLETED
        for name, ear in ears.items():
            assert f"the certificate of {lead} {REFUSED}" in ear()
            assert not (place.kit(name) / job_id / "log.txt").exists()
        assert main(["site", "revoked", str(server), str(tmp_path / "fedefm-revoked.json")]) == 0
        with pytest.raises(FedefmError):
            Console(place.kit(lead)).call("job", "list")
    (server / "disabled_clients.json").write_text(json.dumps({"disabled_clients": []}))  # the list alone must hold
    with running(place, {name: folders[name] for name in others}):
        write_site_config(place.kit(OUT), folders[OUT])
        ear, log = Ear(place.kit(OUT) / LOG), Ear(server / LOG)
        said = []
        with site_process(place.kit(OUT)):
            until(lambda: said.append(log()) or f"the certificate of {OUT} {REFUSED}" in "".join(said), 120)
        assert REGISTERED not in ear()
        with pytest.raises(FedefmError):
            Console(place.kit(lead)).call("job", "list")
