"""T4, T6: a job runs only as somebody who may sign jobs signed it."""

import json
import shutil
from pathlib import Path

import pytest

from fedefm.errors import TrustError
from fedefm.trust import sign_job, verify_app, verify_job
from support.consortium_certificates import DAY, NOW, Authority, Pair, write_job


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def lead(consortium: Authority) -> Pair:
    return consortium.issue("lead@consortium.test", "lead")


@pytest.fixture
def job(consortium: Authority, lead: Pair, tmp_path: Path) -> Path:
    folder = write_job(tmp_path / "job")
    sign_job(folder, lead.certificate, lead.key)
    return folder


def received(job: Path, consortium: Authority, **more: object) -> None:
    """What a hospital checks."""
    meta = json.loads((job / "meta.json").read_text()) | {"submitter_role": "lead", "job_id": "x"} | more
    verify_app(job / "app", consortium.root.certificate, meta, app_name="app", site="hospital-a")


def test_a_signed_job_is_accepted_by_whoever_receives_it(job: Path, consortium: Authority) -> None:
    assert [one.subject for one in verify_job(job, consortium.root.certificate)] == ["foundation"]
    received(job, consortium)


def test_spaces_and_flares_own_signatures_change_nothing(job: Path, consortium: Authority) -> None:
    path = job / "app" / "config" / "foundation.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4) + "\n")
    (job / "app" / "config" / ".__nvfl_sig.json").write_text("{}")
    verify_job(job, consortium.root.certificate)


FAULTS = {
    "deleted": lambda job: (job / "app/config/foundation.json").unlink(),
    "changed": lambda job: (job / "app/config/foundation.json").write_text('{"classes": ["catheter"], "seed": 1}'),
    "added": lambda job: (job / "app/config/more.json").write_text("{}"),
    "code": lambda job: ((job / "app/custom").mkdir(), (job / "app/custom/evil.py").write_text("1")),
    "swapped": lambda job: [
        (job / f"app/config/{a}").write_text(json.dumps({"format_version": 2, "side": b}))
        for a, b in (("config_fed_client.json", "server"), ("config_fed_server.json", "client"))
    ],
    "linked": lambda job: (
        (job / "app/config/foundation.json").rename(job.parent / "elsewhere.json"),
        (job / "app/config/foundation.json").symlink_to(job.parent / "elsewhere.json"),
    ),
    "unsigned": lambda job: (job / "app/fedefm-manifest.sig").unlink(),
    "manifest changed": lambda job: (job / "app/fedefm-manifest.json").write_bytes(
        (job / "app/fedefm-manifest.json").read_bytes().replace(b'"foundation"', b'"foundatioN"')
    ),
}
NAMES = {
    "deleted": "foundation.json",
    "changed": "foundation.json",
    "added": "more.json",
    "code": "custom",
    "swapped": "config_fed_",
    "linked": "foundation.json",
    "unsigned": "fedefm-manifest.sig",
    "manifest changed": "fedefm-manifest",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_t6_an_altered_job_is_refused_and_the_file_named(fault: str, job: Path, consortium: Authority) -> None:
    FAULTS[fault](job)
    for check in (lambda: verify_job(job, consortium.root.certificate), lambda: received(job, consortium)):
        with pytest.raises(TrustError) as caught:
            check()
        assert "\n" not in str(caught.value)
        assert NAMES[fault] in str(caught.value) or fault == "manifest changed"


def test_t6_the_manifest_of_another_job_is_refused(
    job: Path, consortium: Authority, lead: Pair, tmp_path: Path
) -> None:
    other = write_job(tmp_path / "other", name="other")
    sign_job(other, lead.certificate, lead.key)
    for name in ("fedefm-manifest.json", "fedefm-manifest.sig"):
        shutil.copy(other / "app" / name, job / "app" / name)
    with pytest.raises(TrustError, match="other"):
        verify_job(job, consortium.root.certificate)


def test_t6_a_file_moved_in_from_another_signed_job_is_refused(
    job: Path, consortium: Authority, lead: Pair, tmp_path: Path
) -> None:
    other = write_job(tmp_path / "other", name="foundation")
    (other / "app/config/foundation.json").write_text('{"classes": ["catheter"], "seed": 9}')
    sign_job(other, lead.certificate, lead.key)
    shutil.copy(other / "app/config/foundation.json", job / "app/config/foundation.json")
    with pytest.raises(TrustError, match=r"foundation\.json"):
        verify_job(job, consortium.root.certificate)


@pytest.mark.parametrize("key", ["min_clients", "deploy_map"])
def test_what_the_servers_meta_may_not_change(key: str, job: Path, consortium: Authority) -> None:
    with pytest.raises(TrustError, match=key):
        received(job, consortium, **{key: {"app": ["hospital-b"]} if key == "deploy_map" else 3})


@pytest.mark.parametrize("role", ["super", "Super", " super "])
def test_t7_the_role_that_passes_every_policy_is_refused(role: str, job: Path, consortium: Authority) -> None:
    with pytest.raises(TrustError, match="super"):
        received(job, consortium, submitter_role=role)


@pytest.mark.parametrize("role", [None, "member", "org_admin", "super", "root"])
def test_t4_nobody_else_may_sign_a_job(role: str | None, consortium: Authority, tmp_path: Path) -> None:
    signer, folder = consortium.issue("hospital-a", role), write_job(tmp_path / "job")
    sign_job(folder, signer.certificate, signer.key)
    with pytest.raises(TrustError, match="may not sign"):
        verify_job(folder, consortium.root.certificate)


@pytest.mark.parametrize("wrong", ["another CA", "expired", "not yet valid"])
def test_a_signer_of_another_ca_or_time_is_refused(wrong: str, consortium: Authority, tmp_path: Path) -> None:
    signer = {
        "another CA": Authority("somebody").issue("lead", "lead"),
        "expired": consortium.issue("lead", "lead", NOW - 2 * DAY, NOW - DAY),
        "not yet valid": consortium.issue("lead", "lead", NOW + DAY, NOW + 2 * DAY),
    }[wrong]
    folder = write_job(tmp_path / "job")
    sign_job(folder, signer.certificate, signer.key)
    with pytest.raises(TrustError):
        verify_job(folder, consortium.root.certificate)


def test_a_certificate_of_the_same_name_from_a_ca_of_the_same_name_is_refused(tmp_path: Path) -> None:
    from support.consortium_certificates import new_key

    ours = Authority("twin")
    new_key.cache_clear()
    forged = Authority("twin").issue("lead", "lead")
    folder = write_job(tmp_path / "job")
    sign_job(folder, forged.certificate, forged.key)
    with pytest.raises(TrustError, match="another CA"):
        verify_job(folder, ours.root.certificate)


def test_a_key_that_belongs_to_another_certificate_signs_nothing(
    consortium: Authority, lead: Pair, tmp_path: Path
) -> None:
    folder = write_job(tmp_path / "job")
    with pytest.raises(TrustError, match="another certificate"):
        sign_job(folder, lead.certificate, consortium.issue("else", "lead").key)
    assert not (folder / "app" / "fedefm-manifest.json").exists()
