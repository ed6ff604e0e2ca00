"""The deny list: who may sign it, what a site takes, and that nothing comes off it again."""

import json
from datetime import timedelta

import pytest

from fedefm.errors import TrustError
from fedefm.trust import signature
from fedefm.trust.exact import canonical
from fedefm.trust.ledger import JOBS
from fedefm.trust.revoked import NONE, PURPOSE, must_be_good, read_list, revoke, serial_of, take, verify
from support.consortium_certificates import DAY, NOW, Authority


@pytest.fixture(scope="module")
def consortium():
    return Authority()


@pytest.fixture(scope="module")
def root(consortium):
    return consortium.root.certificate


@pytest.fixture(scope="module")
def lead(consortium):
    return consortium.issue("lead@x", "lead")


def listed(signer, *names, before=NONE):
    """A list with certificates of these serial numbers more."""
    return revoke(before, [(name, f"hospital-{name}") for name in names], signer.certificate, signer.key)


def test_a_list_says_what_was_put_on_it(lead, root):
    made, data = listed(lead, "b2", "a1")
    found = verify(data, root)
    assert found == made and found.number == 1
    assert [(one.serial, one.name) for one in found.revoked] == [("a1", "hospital-a1"), ("b2", "hospital-b2")]


@pytest.mark.parametrize("role", ["member", "org_admin", None])
def test_who_may_not_sign_jobs_signs_no_list(role, consortium, root):
    _, data = listed(consortium.issue("x", role), "a1")
    with pytest.raises(TrustError, match="may not sign this"):
        verify(data, root)


def test_the_root_and_a_project_admin_may_and_another_consortium_may_not(consortium, root):
    for signer in (consortium.root, consortium.issue("admin", "project_admin")):
        verify(listed(signer, "a1")[1], root)
    with pytest.raises(TrustError, match="another CA"):
        verify(listed(Authority("another").issue("lead", "lead"), "a1")[1], root)


def test_a_list_outlives_the_certificate_of_its_signer_but_not_one_that_was_over_before(consortium, root, lead):
    data = listed(lead, "a1")[1]
    assert verify(data, root, NOW + timedelta(days=200)).number == 1
    old = consortium.issue("old", "lead", NOW - 20 * DAY, NOW - 10 * DAY)
    with pytest.raises(TrustError, match="expired"):
        verify(listed(old, "a1")[1], root)
    with pytest.raises(TrustError, match="of tomorrow"):
        verify(data, root, NOW - 3 * DAY)


CHANGES = {
    "one taken off": lambda plain: plain["list"]["revoked"].pop(),
    "another number": lambda plain: plain["list"].update(number=9),
    "a field more": lambda plain: plain.update(more=1),
    "a number that is none": lambda plain: plain["list"].update(number=True),
    "a serial number that is none": lambda plain: plain["list"]["revoked"][0].update(serial="../x"),
    "not sorted": lambda plain: plain["list"]["revoked"].reverse(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_list_is_refused(change, lead, root):
    plain = json.loads(listed(lead, "a1", "b2")[1])
    CHANGES[change](plain)
    with pytest.raises(TrustError):
        verify(canonical(plain), root)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"list": 1, "signature": "x"}', b"x" * 2_000_000])
def test_what_is_no_list_is_refused(data, root):
    with pytest.raises(TrustError, match="fedefm-revoked"):
        verify(data, root)


def test_a_signature_made_for_something_else_is_none(lead, root):
    plain = json.loads(listed(lead, "a1")[1])
    plain["signature"] = signature.sign(canonical(plain["list"]), lead.key).decode().strip()
    with pytest.raises(TrustError, match="signature"):
        verify(canonical(plain), root)
    plain["signature"] = signature.sign(canonical(plain["list"]), lead.key, PURPOSE).decode().strip()
    verify(canonical(plain), root)


def test_a_site_takes_newer_lists_and_no_older_one(lead, root, tmp_path):
    first, one = listed(lead, "a1")
    second, two = listed(lead, "b2", before=first)
    assert read_list(tmp_path, root) == NONE
    take(tmp_path, one, root)
    take(tmp_path, two, root)
    take(tmp_path, two, root)
    with pytest.raises(TrustError, match="has number 1, this site has 2"):
        take(tmp_path, one, root)
    assert read_list(tmp_path, root) == second


def test_nothing_comes_off_a_list_again_not_even_by_a_newer_one(lead, root, tmp_path):
    first, one = listed(lead, "a1")
    take(tmp_path, one, root)
    other = listed(lead, "c3")[0]
    with pytest.raises(TrustError, match="lacks a1, which is revoked here"):
        take(tmp_path, listed(lead, "d4", before=other)[1], root)
    assert read_list(tmp_path, root) == first


def test_who_was_revoked_signs_no_more_lists(consortium, lead, root, tmp_path):
    admin = consortium.issue("admin", "project_admin")
    made, data = listed(admin, serial_of(lead.certificate))
    take(tmp_path, data, root)
    with pytest.raises(TrustError, match="stands on it"):
        take(tmp_path, listed(lead, "b2", before=made)[1], root)


@pytest.mark.parametrize("how", ["removed", "put back"])
def test_a_site_does_not_forget_that_it_had_a_list(how, lead, root, tmp_path):
    first, one = listed(lead, "a1")
    take(tmp_path, one, root)
    take(tmp_path, listed(lead, "b2", before=first)[1], root)
    path = tmp_path / "fedefm-revoked.json"
    path.unlink()
    if how == "put back":
        path.write_bytes(one)
    with pytest.raises(TrustError, match="gone, or older than number 2"):
        must_be_good(lead.certificate, tmp_path, root)
    (tmp_path / JOBS).unlink()
    with pytest.raises(TrustError, match="missing at its end"):
        read_list(tmp_path, root)


@pytest.mark.parametrize("how", ["gone", "put back"])
def test_the_newest_list_mends_a_site_that_has_lost_it_and_an_older_one_does_not(how, lead, root, tmp_path):
    first, one = listed(lead, "a1")
    second, two = listed(lead, "b2", before=first)
    take(tmp_path, one, root)
    take(tmp_path, two, root)
    path = tmp_path / "fedefm-revoked.json"
    path.unlink() if how == "gone" else path.write_bytes(one)
    with pytest.raises(TrustError, match="has number 1, this site has 2"):
        take(tmp_path, one, root)
    take(tmp_path, two, root)
    assert read_list(tmp_path, root) == second


def test_a_list_that_could_not_be_written_can_be_taken_again(lead, root, tmp_path, monkeypatch):
    found, data = listed(lead, "a1")
    with monkeypatch.context() as patch:
        patch.setattr("fedefm.trust.revoked.write_whole", full_disk)
        with pytest.raises(OSError):
            take(tmp_path, data, root)
    take(tmp_path, data, root)
    assert read_list(tmp_path, root) == found


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_certificate_is_good_until_it_stands_on_the_list(consortium, lead, root, tmp_path):
    hospital = consortium.issue("hospital-a")
    must_be_good(hospital.certificate, tmp_path, root)
    take(tmp_path, listed(lead, serial_of(hospital.certificate))[1], root)
    must_be_good(lead.certificate, tmp_path, root)
    with pytest.raises(TrustError, match="the certificate of hospital-a was revoked"):
        must_be_good(hospital.certificate, tmp_path, root)
    with pytest.raises(TrustError, match="on the list already"):
        listed(lead, serial_of(hospital.certificate), before=read_list(tmp_path, root))
