"""Kits as `nvflare provision` makes them with our builders."""

import json
import os
import stat

import pytest

from fedefm.errors import TrustError
from fedefm.flare.server_config import FILE as SERVER_FILE
from fedefm.kits.lay import loose
from fedefm.kits.policy_files import POLICIES
from fedefm.trust import KIT_ROLES, verify_folder
from support.project_files import CONSORTIUM, ROOT, nvflare, project, provision


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder and kits of the shipped consortium; the shell's umask is as loose as many are."""
    folder = tmp_path_factory.mktemp("consortium")
    before = os.umask(0o002)
    try:
        kits, said = provision(folder, project(CONSORTIUM))
    finally:
        os.umask(before)
    assert kits, said
    return folder, kits


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sites(kits):
    return [kit for kit in sorted(kits.iterdir()) if (kit / "startup" / "start.sh").exists()]


def test_every_participant_has_a_kit(made):
    _, kits = made
    assert {kit.name for kit in kits.iterdir()} == {p["name"] for p in project(CONSORTIUM)["participants"]}
    assert [kit.name for kit in sites(kits)] == ["fedefm.example.org", "hospital-a", "hospital-b", "hospital-c"]


def test_policies_are_those_of_the_templates_also_under_the_names_of_the_fallbacks(made):
    _, kits = made
    for kit in sites(kits):
        template = ROOT / "workspace_templates" / ("hospital" if kit.name.startswith("hospital") else "server")
        assert {path.name for path in (template / "local").glob("*.json")} - {SERVER_FILE} == set(POLICIES)
        for name in POLICIES:
            wanted = (template / "local" / name).read_text().replace("{~~storage~~}", "/var/lib/fedefm")
            assert (kit / "local" / name).read_text() == wanted
            assert (kit / "local" / f"{name}.default").read_text() == wanted
            json.loads(wanted)
        assert not [p for p in (kit / "local").iterdir() if p.name.endswith(".json.sample") and "privacy" in p.name]


def test_nothing_of_the_kits_or_the_authority_is_open_to_group_or_others(made):
    folder, kits = made
    assert loose(kits) == []
    assert loose(folder / "ws" / "fedefm" / "state") == []
    assert stat.S_IMODE((folder / "ws" / "fedefm" / "state" / "cert.json").stat().st_mode) == 0o600
    for key in kits.rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_every_kit_is_signed_by_the_consortium_for_its_participant(made):
    _, kits = made
    for kit in kits.iterdir():
        root = kit / "startup" / "rootCA.pem"
        verify_folder(kit, root, kind="kit", subject=kit.name, roles=KIT_ROLES)
        with pytest.raises(TrustError, match="made for"):
            verify_folder(kit, root, kind="kit", subject="another", roles=KIT_ROLES)


def test_flare_imports_nothing_but_installed_packages(made):
    _, kits = made
    for kit in sites(kits):
        script = (kit / "startup" / "sub_start.sh").read_text()
        assert "/local/custom" not in script
        assert "unset PYTHONPATH" in script


def test_both_ends_demand_certificates_and_signed_jobs(made):
    _, kits = made
    for kit in sites(kits):
        (path,) = (kit / "startup").glob("fed_*.json")
        plain = json.loads(path.read_text())
        assert plain["require_signed_jobs"] is True
        assert plain["servers"][0]["service"]["scheme"] == "grpc"
        connection = plain["client"] if "client" in plain else plain["servers"][0]
        assert connection["connection_security"] == "mtls"


def test_adding_a_hospital_keeps_the_authority_and_every_other_kit(tmp_path):
    plain = project()
    first, said = provision(tmp_path, plain)
    assert first, said
    plain["participants"].append({"name": "hospital-d", "type": "client", "org": "hospital_d"})
    second, said = provision(tmp_path, plain)
    assert second, said
    assert (first.name, second.name) == ("prod_00", "prod_01")
    before, after = files(first), files(second)
    assert {path: data for path, data in after.items() if not path.startswith("hospital-d/")} == before
    assert "hospital-d: new kit" in said
    assert said.count("new kit") == 1
    assert (
        verify_folder(
            second / "hospital-d", first / "hospital-a/startup/rootCA.pem", kind="kit", roles=KIT_ROLES
        ).subject
        == "hospital-d"
    )


def test_a_changed_kit_is_signed_anew_and_only_that(tmp_path):
    plain = project()
    first, said = provision(tmp_path, plain)
    assert first, said
    plain["builders"][0]["args"]["storage"] = str(tmp_path / "elsewhere")
    second, said = provision(tmp_path, plain)
    assert second, said
    assert "localhost: new kit" in said
    assert said.count("new kit") == 1
    verify_folder(second / "localhost", first / "localhost/startup/rootCA.pem", kind="kit", roles=KIT_ROLES)
    changed = {path for path, data in files(second).items() if files(first)[path] != data}
    assert {path.split("/")[0] for path in changed} == {"localhost"}


@pytest.mark.parametrize("role", ["super", "root", "Lead"])
def test_roles_that_no_policy_knows_get_no_certificate(tmp_path, role):
    plain = project()
    plain["participants"].append({"name": "x@consortium.test", "type": "admin", "org": "consortium", "role": role})
    kits, said = provision(tmp_path, plain)
    assert kits is None
    assert f"x@consortium.test: role '{role}'" in said
    assert not list((tmp_path / "ws" / "fedefm").glob("prod_*"))


def test_a_failure_leaves_no_kit_behind(tmp_path):
    plain = project()
    plain["builders"][0]["args"]["storage"] = 'a "quoted" folder'
    kits, said = provision(tmp_path, plain)
    assert kits is None
    assert "'storage' holds a quote" in said
    assert not list((tmp_path / "ws" / "fedefm").glob("prod_*"))


def request(folder, name="hospital-c", org="hospital_c"):
    """What a hospital does: its key stays in the folder `own`, the request goes to the consortium."""
    import yaml

    (folder / "request.yml").write_text(
        yaml.safe_dump({"name": "fedefm", "participants": [{"name": name, "type": "client", "org": org}]})
    )
    done = nvflare("cert", "request", "-p", "request.yml", "--out", "own", "--force", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "own" / f"{name}.csr"


def with_request(path):
    plain = project()
    next(p for p in plain["participants"] if p["name"] == "hospital-c")["request"] = str(path)
    return plain


def test_a_hospital_that_makes_its_own_key_gets_a_certificate_for_it_and_no_key_travels(tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    csr = request(tmp_path)
    first, said = provision(tmp_path, with_request(csr))
    assert first, said
    kit = first / "hospital-c"
    assert not list(kit.rglob("*.key"))
    key = (tmp_path / "own" / "hospital-c.key").read_bytes()
    certificate = x509.load_pem_x509_certificate((kit / "startup" / "client.crt").read_bytes())
    assert certificate.public_key() == load_pem_private_key(key, None).public_key()
    state = json.loads((tmp_path / "ws" / "fedefm" / "state" / "cert.json").read_text())
    assert set(state["hospital-c"]) == {"cert"}

    (kit / "startup" / "client.key").write_bytes(key)  # what the hospital does with its kit
    (kit / "startup" / "client.key").chmod(0o600)
    verify_folder(kit, kit / "startup" / "rootCA.pem", kind="kit", subject="hospital-c", roles=KIT_ROLES)

    (kit / "startup" / "client.key").unlink()
    second, said = provision(tmp_path, with_request(csr))
    assert second, said
    assert files(second) == files(first)  # the same request, the same certificate

    third, said = provision(tmp_path, with_request(request(tmp_path)))  # a new key
    assert third, said
    changed = {path.split("/")[0] for path, data in files(third).items() if files(first)[path] != data}
    assert changed == {"hospital-c"}


def test_a_missing_request_makes_no_kit(tmp_path):
    kits, said = provision(tmp_path, with_request(tmp_path / "none.csr"))
    assert kits is None
    assert "ask hospital-c for its request" in said
