"""T5, T10: a kit is what the consortium's root signed, and its modes are tight."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fedefm.errors import TrustError
from fedefm.trust import KIT_ROLES, lint_certificates, sign_folder, verify_folder
from fedefm.trust.exact import canonical
from support.consortium_certificates import DAY, NOW, Authority


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@pytest.fixture
def kit(consortium: Authority, tmp_path: Path) -> Path:
    folder = tmp_path / "hospital-a"
    consortium.issue("hospital-a").write(folder / "startup", "client")
    consortium.root.write(tmp_path / "ca", "rootCA")
    (folder / "startup" / "rootCA.pem").write_bytes((tmp_path / "ca" / "rootCA.crt").read_bytes())
    (folder / "local").mkdir()
    for name in ("resources.json", "privacy.json"):
        (folder / "local" / name).write_text("{}")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    sign_folder(folder, consortium.root.certificate, consortium.root.key, kind="kit", subject="hospital-a")
    return folder


def verify(kit: Path, consortium: Authority, subject: str = "hospital-a") -> None:
    verify_folder(kit, consortium.root.certificate, kind="kit", roles=KIT_ROLES, subject=subject)


def test_a_kit_may_hold_what_the_site_and_flare_write(kit: Path, consortium: Authority) -> None:
    verify(kit, consortium)
    (kit / "local" / "fedefm_site.json").write_text("{}")
    (kit / "local" / "fedefm_site.json").chmod(0o600)
    (kit / "log.txt").write_text("a line")
    (kit / "log.txt").chmod(0o600)
    verify(kit, consortium)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "byte": ("local/resources.json", flip),
    "missing": ("startup/rootCA.pem", Path.unlink),
    "policy deleted": ("local/privacy.json", Path.unlink),
    "group-writable": ("local/resources.json", lambda path: path.chmod(0o620)),
    "readable key": ("startup/client.key", lambda path: path.chmod(0o640)),
    "added": ("startup/more.sh", lambda path: path.write_text("#!/bin/sh")),
    "a link": ("local/privacy.json", lambda path: (path.unlink(), path.symlink_to("/etc/hostname"))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_t5_t10_a_changed_kit_is_refused_and_the_file_named(fault: str, kit: Path, consortium: Authority) -> None:
    name, damage = FAULTS[fault]
    damage(kit / name)
    with pytest.raises(TrustError) as caught:
        verify(kit, consortium)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_t3_the_kit_of_another_is_refused(kit: Path, consortium: Authority) -> None:
    with pytest.raises(TrustError, match="hospital-b"):
        verify(kit, consortium, "hospital-b")


def test_t4_only_the_root_signs_a_kit(kit: Path, consortium: Authority) -> None:
    lead = consortium.issue("lead", "project_admin")
    sign_folder(kit, lead.certificate, lead.key, kind="kit", subject="hospital-a")
    with pytest.raises(TrustError, match="may not sign"):
        verify(kit, consortium)


def test_a_manifest_of_another_kind_is_refused(kit: Path, consortium: Authority) -> None:
    sign_folder(kit, consortium.root.certificate, consortium.root.key, kind="model", subject="hospital-a")
    with pytest.raises(TrustError, match="made for a model"):
        verify(kit, consortium)


@pytest.mark.parametrize(
    ("begin", "end", "level"),
    [(-DAY, 31 * DAY, "pass"), (-DAY, 29 * DAY, "warn"), (-2 * DAY, -DAY, "fail"), (DAY, 2 * DAY, "fail")],
)
def test_t10_a_certificate_under_30_days_warns(begin, end, level, consortium: Authority, tmp_path: Path) -> None:
    path, _ = consortium.issue("hospital-a", None, NOW + begin, NOW + end).write(tmp_path, "client")
    assert [found.level for found in lint_certificates([path])] == [level]


def test_a_file_that_is_no_certificate_fails(tmp_path: Path) -> None:
    (tmp_path / "client.crt").write_text("nothing")
    assert lint_certificates([tmp_path / "client.crt"])[0].level == "fail"


def test_t5_a_manifest_rewritten_to_fit_the_changed_file_is_refused(kit: Path, consortium: Authority) -> None:
    """The list fits the files again; only the signature tells."""
    genuine = (kit / "fedefm-manifest.sig").read_bytes()
    (kit / "local" / "resources.json").write_text('{"class_allow_list": ["os."]}')
    stranger = Authority("stranger")
    sign_folder(kit, stranger.root.certificate, stranger.root.key, kind="kit", subject="hospital-a")
    path = kit / "fedefm-manifest.json"
    plain = json.loads(path.read_text())
    plain["certificate"] = consortium.root.certificate.public_bytes(Encoding.PEM).decode()
    path.write_bytes(canonical(plain))
    (kit / "fedefm-manifest.sig").write_bytes(genuine)
    with pytest.raises(TrustError, match="signature"):
        verify(kit, consortium)


def test_t4_a_certificate_that_calls_itself_root_signs_no_kit(kit: Path, consortium: Authority) -> None:
    fake = consortium.issue("fake", "root")
    sign_folder(kit, fake.certificate, fake.key, kind="kit", subject="hospital-a")
    with pytest.raises(TrustError, match="may not sign"):
        verify(kit, consortium)
