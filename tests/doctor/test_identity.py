"""T3, T4, T10: the certificate in a kit is that of the participant whom the kit names, and the clock is right."""

from pathlib import Path

import pytest

from fedefm.doctor.certificates import clock, dates, identity, private_key
from fedefm.doctor.finding import FAIL, PASS, WARN, Finding
from support.consortium_certificates import DAY, NOW, Authority, Pair
from support.kits import write_kit, write_server_kit


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


def only(found) -> Finding:
    (one,) = found
    return one


def test_ones_own_certificate_passes(consortium: Authority, tmp_path: Path) -> None:
    hospital = write_kit(tmp_path / "a", consortium, consortium.issue("hospital-a"))
    server = write_server_kit(tmp_path / "s", consortium, consortium.issue("localhost"))
    for kit in (hospital, server):
        for found in (*identity(kit, NOW), *private_key(kit), *clock(kit, NOW), *dates(kit, NOW)):
            assert found.status == PASS, found


def test_t3_the_certificate_of_hospital_b_does_not_make_hospital_a(consortium: Authority, tmp_path: Path) -> None:
    found = only(identity(write_kit(tmp_path, consortium, consortium.issue("hospital-b")), NOW))
    assert found.status == FAIL and "hospital-b" in found.text and "hospital-a" in found.text


def test_t3_a_hospitals_certificate_is_no_servers(consortium: Authority, tmp_path: Path) -> None:
    found = only(identity(write_server_kit(tmp_path, consortium, consortium.issue("hospital-a")), NOW))
    assert found.status == FAIL and "hospital-a" in found.text


@pytest.mark.parametrize(
    ("wrong", "text"), [("another CA", "another CA"), ("expired", "expired"), ("not yet valid", "not valid before")]
)
def test_a_certificate_of_another_ca_or_time_fails(
    wrong: str, text: str, consortium: Authority, tmp_path: Path
) -> None:
    own = {
        "another CA": Authority("somebody").issue("hospital-a"),
        "expired": consortium.issue("hospital-a", None, NOW - 2 * DAY, NOW - DAY),
        "not yet valid": consortium.issue("hospital-a", None, NOW + DAY, NOW + 2 * DAY),
    }[wrong]
    found = only(identity(write_kit(tmp_path, consortium, own), NOW))
    assert found.status == FAIL and text in found.text and found.remedy


def test_t10_29_days_left_warn(consortium: Authority, tmp_path: Path) -> None:
    kit = write_kit(tmp_path, consortium, consortium.issue("hospital-a", None, NOW - DAY, NOW + 29 * DAY))
    assert [one.status for one in dates(kit, NOW)] == [PASS, WARN]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_t10_a_private_key_that_others_may_touch_fails(mode: int, consortium: Authority, tmp_path: Path) -> None:
    kit = write_kit(tmp_path, consortium, consortium.issue("hospital-a"))
    kit.key.chmod(mode)
    found = only(private_key(kit))
    assert found.status == FAIL and "client.key" in found.text and "chmod 600" in found.remedy


def test_the_key_of_another_certificate_fails(consortium: Authority, tmp_path: Path) -> None:
    mine, other = consortium.issue("hospital-a"), consortium.issue("hospital-b")
    found = only(private_key(write_kit(tmp_path, consortium, Pair(mine.certificate, other.key))))
    assert found.status == FAIL and "another certificate" in found.text


def test_a_clock_before_the_kit_was_made_fails(consortium: Authority, tmp_path: Path) -> None:
    kit = write_kit(tmp_path, consortium, consortium.issue("hospital-a"))
    assert only(clock(kit, NOW - 2 * DAY)).status == FAIL
