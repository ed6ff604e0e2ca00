"""FLARE's own judgement of a peer, with the deny list behind it."""

import json
import logging
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace
from nvflare.private.fed.utils.identity_utils import IdentityVerifier, InvalidAsserterCert

from fedefm.errors import TrustError
from fedefm.flare.revoked import PEERS_NAME, RevokedPeers, certificate_ends, check_peer, revoked_among
from fedefm.trust.revoked import NONE, revoke, serial_of, take
from support.consortium_certificates import Authority
from support.flare_site import Engine
from support.kits import write_server_kit


@pytest.fixture(scope="module")
def consortium():
    return Authority()


@pytest.fixture
def kit(tmp_path, consortium):
    found = write_server_kit(tmp_path / "localhost", consortium, consortium.issue("localhost"))
    found.local.mkdir()
    return found


def deny(kit, consortium, *certificates, before=NONE):
    lead = consortium.issue("lead@x", "lead")
    made, data = revoke(before, [(serial_of(one), "x") for one in certificates], lead.certificate, lead.key)
    take(kit.folder, data, kit.root)
    return made


def judged(kit, pair, name):
    """What FLARE says of somebody who shows this certificate and signs what it asks."""
    from nvflare.lighter.utils import sign_content

    RevokedPeers()
    verifier = IdentityVerifier(str(kit.root))
    signed = sign_content(name + "nonce", pair.key, return_str=False)
    return verifier.verify_common_name(
        asserted_cn=name, nonce="nonce", asserter_cert=pair.certificate, signature=signed
    )


def test_a_peer_is_good_until_its_certificate_is_revoked(kit, consortium, caplog):
    hospital, renewed = consortium.issue("hospital-a"), consortium.issue("hospital-a")
    assert judged(kit, hospital, "hospital-a")
    deny(kit, consortium, hospital.certificate)
    with caplog.at_level(logging.ERROR), pytest.raises(TrustError, match="the certificate of hospital-a was revoked"):
        judged(kit, hospital, "hospital-a")
    assert "refused: the certificate of hospital-a was revoked" in caplog.text
    assert judged(kit, renewed, "hospital-a")


def test_a_list_that_cannot_be_read_lets_nobody_in(kit, consortium):
    hospital = consortium.issue("hospital-a")
    (kit.folder / "fedefm-revoked.json").write_text("{}")
    with pytest.raises(TrustError, match="not in the form that is signed"):
        judged(kit, hospital, "hospital-a")


def test_what_flare_refuses_stays_refused(kit, consortium):
    other = Authority("another").issue("hospital-a")
    with pytest.raises(InvalidAsserterCert):
        judged(kit, other, "hospital-a")
    assert not (kit.folder / PEERS_NAME).exists()


class Manager:
    """FLARE's list of clients, as much as is asked of it."""

    def __init__(self, *names):
        self.clients = {name: SimpleNamespace(name=name) for name in names}
        self.disabled = []

    def disable_client(self, name):
        self.disabled.append(name)


def heard(kit, manager):
    engine = Engine(Workspace(str(kit.folder)))
    engine.server = SimpleNamespace(client_manager=manager)
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    RevokedPeers().handle_event(EventType.CLIENT_HEARTBEAT_PROCESSED, context)


def test_who_is_connected_when_it_is_revoked_is_disabled_at_the_next_heartbeat(kit, consortium):
    old, other = consortium.issue("hospital-a"), consortium.issue("hospital-b")
    for pair in (old, other):
        check_peer(pair.certificate, kit.root)
    manager = Manager("hospital-a", "hospital-b", "hospital-c")
    heard(kit, manager)
    assert manager.disabled == []
    deny(kit, consortium, old.certificate)
    heard(kit, manager)
    assert manager.disabled == ["hospital-a"]


def test_whoever_came_with_a_new_certificate_is_not(kit, consortium):
    old, new = consortium.issue("hospital-a"), consortium.issue("hospital-a")
    check_peer(old.certificate, kit.root)
    check_peer(new.certificate, kit.root)
    deny(kit, consortium, old.certificate)
    assert revoked_among({"hospital-a"}, kit.folder) == set()
    end = new.certificate.not_valid_after_utc.timestamp()
    assert json.loads((kit.folder / PEERS_NAME).read_text()) == {
        "hospital-a": f"{serial_of(new.certificate)} {end:.0f}"
    }


def test_who_showed_a_certificate_before_its_end_was_kept_is_known_all_the_same(kit, consortium):
    """The file of a server of an earlier version."""
    old = consortium.issue("hospital-a")
    (kit.folder / PEERS_NAME).write_text(json.dumps({"hospital-a": serial_of(old.certificate)}))
    assert certificate_ends(kit.folder) == {}
    deny(kit, consortium, old.certificate)
    assert revoked_among({"hospital-a"}, kit.folder) == {"hospital-a"}
    new = consortium.issue("hospital-a")
    check_peer(new.certificate, kit.root)
    assert certificate_ends(kit.folder) == {"hospital-a": new.certificate.not_valid_after_utc.timestamp()}


@pytest.mark.parametrize("text", ["{", "[]", '{"hospital-a": 7}', '{"hospital-a": "1f soon"}', '{"a": "1f -5"}'])
def test_a_damaged_list_of_peers_is_an_error(text, kit, consortium):
    old = consortium.issue("hospital-a")
    (kit.folder / PEERS_NAME).write_text(text)
    with pytest.raises(TrustError, match=PEERS_NAME):
        check_peer(old.certificate, kit.root)
