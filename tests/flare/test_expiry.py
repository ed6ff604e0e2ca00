"""When certificates end, out of a server's kit and what its peers showed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedefm.exchange.status import STATUS_FILE, Heard
from fedefm.flare.expiry import Expiry, expiry_of
from fedefm.flare.job_status import StatusKeeper
from fedefm.flare.presence import Presence
from fedefm.flare.revoked import PEERS_NAME, check_peer
from fedefm.kits.kit import Kit
from support.consortium_certificates import DAY, NOW, Authority
from support.kits import write_server_kit


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@pytest.fixture
def kit(consortium: Authority, tmp_path: Path) -> Kit:
    return write_server_kit(tmp_path / "server", consortium, consortium.issue("localhost", end=NOW + 5 * DAY))


def test_a_hospitals_end_is_that_of_the_certificate_that_it_registered_with(kit: Kit, consortium: Authority) -> None:
    for days in (300, 9):
        check_peer(consortium.issue("hospital-a", end=NOW + days * DAY).certificate, kit.root)
    found = expiry_of(kit.folder)
    assert found.sites == {"hospital-a": float(int((NOW + 9 * DAY).timestamp()))}
    assert found.server == float(int((NOW + 5 * DAY).timestamp()))


def test_an_end_in_the_far_future_is_kept_as_one_that_can_be_read_again(kit: Kit, consortium: Authority) -> None:
    root = consortium.issue("hospital-b", end=datetime(9999, 12, 31, tzinfo=UTC)).certificate
    check_peer(root, kit.root)
    check_peer(consortium.issue("hospital-a").certificate, kit.root)
    assert expiry_of(kit.folder).sites["hospital-b"] == 99_999_999_999


def test_it_stands_in_the_status(tmp_path: Path) -> None:
    expiry = Expiry(7.0, {"a": 5.0, "another": 6.0})
    keeper = StatusKeeper(
        "job", ["a", "b"], lambda site: Heard(), Presence(lambda: None), tmp_path / STATUS_FILE, expiry=expiry
    )
    status = keeper.status()
    assert [one.certificate_ends for one in status.hospitals] == [5.0, None] and status.certificate_ends == 7.0


@pytest.mark.parametrize("text", ["{", "[]", '{"hospital-a": "1f soon"}'])
def test_what_cannot_be_read_is_not_known_and_ends_no_job(text: str, kit: Kit) -> None:
    (kit.folder / PEERS_NAME).write_text(text)
    assert expiry_of(kit.folder) == Expiry()


def test_the_simulator_has_none(tmp_path: Path) -> None:
    assert expiry_of(tmp_path) == Expiry()
