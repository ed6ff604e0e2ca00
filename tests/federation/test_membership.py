"""Adding, removing and renewing who takes part: on the shipped project files, with `nvflare provision` itself."""

import json
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
import yaml

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.federation.membership import add, others_of, remove
from fedefm.trust import KIT_ROLES, fingerprint, verify_folder
from fedefm.trust.certificates import load_certificate
from fedefm.trust.revoked import serial_of
from support.project_files import CONSORTIUM, LOCAL

BLOCKS = """\
name: fedefm
participants:
  # the server
  - name: s.example.org
    type: server
    org: x
  # hospitals
  - name: hospital-a
    type: client
    org: a

  # the second one
  - {name: hospital-b, type: client, org: b} # here
  # people
  - name: lead@x.org
    type: admin
    org: x
    role: lead
builders: []
"""


@pytest.fixture(params=["shipped", "local", "blocks"])
def project(request, tmp_path):
    path = tmp_path / "project.yml"
    text = {"shipped": CONSORTIUM, "local": LOCAL}.get(request.param)
    path.write_text(text.read_text() if text else BLOCKS)
    return path


def names(project):
    return [one["name"] for one in yaml.safe_load(project.read_text())["participants"]]


def test_who_was_added_and_removed_leaves_the_file_as_it_was(project):
    text, before = project.read_text(), names(project)
    add(project, "hospital-d", "hospital_d")
    add(project, "it@hospital-d.org", "hospital_d", role="org_admin")
    assert set(names(project)) - set(before) == {"hospital-d", "it@hospital-d.org"}
    assert [line for line in text.splitlines() if line not in project.read_text().splitlines()] == []
    remove(project, "it@hospital-d.org")
    remove(project, "hospital-d")
    assert project.read_text() == text


def test_everybody_but_the_server_can_be_removed_and_comments_stay(project):
    comments = [line for line in project.read_text().splitlines() if line.lstrip().startswith("#")]
    for name in names(project)[1:]:
        remove(project, name)
    assert len(names(project)) == 1
    assert [line for line in project.read_text().splitlines() if line.lstrip().startswith("#")] == comments
    with pytest.raises(ConfigError, match="is the server"):
        remove(project, names(project)[0])


def test_the_people_of_a_hospital_are_named_where_it_alone_is_of_that_organisation(tmp_path):
    path = tmp_path / "project.yml"
    path.write_text(CONSORTIUM.read_text())
    assert others_of(path, "hospital-a") == ["it@hospital-a.example.org", "member@hospital-a.example.org"]
    add(path, "hospital-a-two", "hospital_a")
    assert others_of(path, "hospital-a") == []


@pytest.mark.parametrize("name", ["hospital-a", "../x", "a b", "x: y", "", "-x"])
def test_a_name_that_is_taken_or_is_none_changes_nothing(name, project):
    text = project.read_text()
    with pytest.raises(ConfigError):
        add(project, name, "x")
    assert project.read_text() == text
    with pytest.raises(ConfigError, match="nobody is called"):
        remove(project, "hospital-z")


def test_a_layout_that_cannot_be_changed_safely_is_left_alone(tmp_path):
    path = tmp_path / "project.yml"
    path.write_text("name: x\nparticipants: [{name: s, type: server}, {name: a, type: client}]\n")
    text = path.read_text()
    with pytest.raises(ConfigError, match="cannot be changed safely"):
        remove(path, "a")
    assert path.read_text() == text


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    """The administrator's folder, after the first `fedefm consortium kits`."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "project.yml").write_text(LOCAL.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["consortium", "kits"]) == 0
    return folder


def kit(folder, name):
    return max((folder / "consortium" / "fedefm").glob("prod_*")) / name


def certificate(folder, name):
    return load_certificate(kit(folder, name) / "startup" / "client.crt")


def test_one_command_each_and_no_file_edited_by_hand(consortium, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(consortium)
    first = kit(consortium, "hospital-a").parent
    assert (consortium / "to-send" / "hospital-a.zip").is_file()
    assert main(["consortium", "add", "hospital-d", "--org", "hospital_d", "--out", "new"]) == 0
    assert [path.name for path in (consortium / "new").iterdir()] == ["hospital-d.zip"]
    before = {name: certificate(consortium, name) for name in ("hospital-a", "hospital-b")}
    capsys.readouterr()
    assert main(["consortium", "renew", "hospital-a", "--out", "renewed"]) == 0
    assert [path.name for path in (consortium / "renewed").iterdir()] == ["hospital-a.zip"]
    assert certificate(consortium, "hospital-a").serial_number != before["hospital-a"].serial_number
    assert certificate(consortium, "hospital-b") == before["hospital-b"]
    root = first / "hospital-a" / "startup" / "rootCA.pem"
    assert verify_folder(kit(consortium, "hospital-a"), root, kind="kit", roles=KIT_ROLES).subject == "hospital-a"
    for path in (consortium / "consortium" / "fedefm" / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lead = kit(consortium, "lead@consortium.test")
    words = ["trust", "revoke", "hospital-a", "--kit", str(lead), "--consortium", "consortium/fedefm"]
    assert main(words) == 0
    listed = json.loads((consortium / "fedefm-revoked.json").read_text())["list"]["revoked"]
    assert {one["serial"] for one in listed} == {
        serial_of(before["hospital-a"]),
        serial_of(certificate(consortium, "hospital-a")),
    }
    assert {one["name"] for one in listed} == {"hospital-a"}


def test_each_command_says_what_happens_now(consortium, monkeypatch, capsys):
    monkeypatch.chdir(consortium)
    root = fingerprint(kit(consortium, "hospital-b") / "startup" / "rootCA.pem")
    assert main(["consortium", "add", "hospital-w", "--org", "w", "--out", "words"]) == 0
    said = capsys.readouterr().out
    assert f"fingerprint of the root: {root}\n" in said and f"{kit(consortium, 'x').parent.name}; keep" in said
    assert said.endswith("once it has started it; the server is neither told nor started again\n")
    assert main(["consortium", "renew", "hospital-w", "--out", "words"]) == 0
    said = capsys.readouterr().out
    assert "fedefm site renew KIT ZIP" in said and "started again after the server" not in said
    assert main(["consortium", "renew", "localhost", "--out", "words"]) == 0
    assert "each hospital has to be started again after the server" in capsys.readouterr().out


def test_who_was_removed_gets_another_certificate_when_added_again(consortium, monkeypatch, capsys, tmp_path):
    """Also where the server cannot be reached: the last step fails alone, and says what is to be done."""
    monkeypatch.chdir(shutil.copytree(consortium, tmp_path / "office"))
    here, admin = Path.cwd(), kit(Path.cwd(), "admin@consortium.test")
    before = certificate(here, "hospital-c")
    (here / "to-send").mkdir(exist_ok=True)
    (here / "to-send" / "hospital-c.zip").write_bytes(b"")
    assert main(["consortium", "remove", "hospital-c", "--kit", str(admin)]) == 1
    said = capsys.readouterr()
    assert "on a machine that reaches the server: fedefm consortium suspend hospital-c --kit KIT" in said.err
    assert "to-send/hospital-c.zip: deleted" in said.out and not (here / "to-send" / "hospital-c.zip").exists()
    assert "hospital-c" not in names(here / "project.yml")
    assert main(["consortium", "add", "hospital-c", "--org", "c"]) == 0
    assert certificate(here, "hospital-c").serial_number != before.serial_number


def test_kits_that_are_as_they_were_take_no_new_folder_and_can_be_zipped_again(consortium, monkeypatch, capsys):
    monkeypatch.chdir(consortium)
    assert main(["consortium", "kits"]) == 0
    before = kit(consortium, "x").parent
    capsys.readouterr()
    assert main(["consortium", "kits"]) == 0
    assert "all kits are as they were" in capsys.readouterr().out and kit(consortium, "x").parent == before
    assert main(["consortium", "kits", "hospital-b", "--out", "again"]) == 0
    assert [path.name for path in (consortium / "again").iterdir()] == ["hospital-b.zip"]
    assert main(["consortium", "kits", "hospital-z"]) == 2
    assert "holds no kit of 'hospital-z'; add it with" in capsys.readouterr().err


def test_the_last_folder_that_flare_makes_is_named_with_what_to_do(consortium, monkeypatch, capsys, tmp_path):
    office = shutil.copytree(consortium, tmp_path / "office")
    monkeypatch.chdir(office)
    newest, text = kit(office, "x").parent, (office / "project.yml").read_text()
    last = newest.rename(newest.with_name("prod_99"))
    assert main(["consortium", "add", "hospital-y", "--org", "y"]) == 2
    assert "prod_99: FLARE makes no folder of kits after this one; move all others" in capsys.readouterr().err
    assert (office / "project.yml").read_text() == text
    (office / "older").mkdir()  # and what it says is done
    for path in sorted(last.parent.glob("prod_*"))[:-1]:
        path.rename(office / "older" / path.name)
    last.rename(last.with_name("prod_00"))
    assert main(["consortium", "add", "hospital-y", "--org", "y", "--out", "after"]) == 0
    assert [path.name for path in (office / "after").iterdir()] == ["hospital-y.zip"]


def test_a_zip_is_its_owners_alone_and_keeps_the_modes_of_the_kit(consortium, tmp_path):
    zipped = consortium / "to-send" / "hospital-b.zip"
    assert stat.S_IMODE(zipped.stat().st_mode) == 0o600
    with zipfile.ZipFile(zipped) as archive:
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
        archive.extractall(tmp_path)
    assert modes["hospital-b/startup/client.key"] == 0o600 and modes["hospital-b/startup/start.sh"] == 0o700
    assert modes["hospital-b/startup/"] == 0o700
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    folder = kit(consortium, "hospital-b").parent.parent / "prod_00"
    assert files == {path.relative_to(folder) for path in (folder / "hospital-b").rglob("*") if path.is_file()}


def test_what_provisioning_refuses_leaves_the_project_file_as_it_was(consortium, monkeypatch, capsys):
    monkeypatch.chdir(consortium)
    text = (consortium / "project.yml").read_text()
    assert main(["consortium", "add", "hospital-e", "--org", "hospital_e", "--request", "none.csr"]) == 1
    assert "ask hospital-e for its request" in capsys.readouterr().err
    assert (consortium / "project.yml").read_text() == text


@pytest.mark.parametrize("name", ["hospital-z", "localhost"])
def test_a_renewal_of_nobody_forgets_nothing(name, consortium, monkeypatch):
    monkeypatch.chdir(consortium)
    state = consortium / "consortium" / "fedefm" / "state" / "cert.json"
    before = state.read_bytes()
    if name == "localhost":
        state.chmod(0o600)
        plain = json.loads(before)
        del plain["localhost"]
        state.write_text(json.dumps(plain))
    assert main(["consortium", "renew", "hospital-b", name]) == 2
    assert b"hospital-b" in state.read_bytes()
    state.write_bytes(before)


def test_the_consortiums_default_of_approval_goes_into_signed_kits(consortium, monkeypatch, tmp_path):
    text = LOCAL.read_text().replace("{storage: /var/lib/fedefm}", "{storage: /var/lib/fedefm, approval: ask}")
    (tmp_path / "project.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["consortium", "kits"]) == 0
    made = kit(tmp_path, "hospital-a")
    assert json.loads((made / "local" / "fedefm_approval.json").read_text()) == {"ask": True}
    assert not (kit(tmp_path, "localhost") / "local" / "fedefm_approval.json").exists()
    manifest = verify_folder(made, made / "startup" / "rootCA.pem", kind="kit", roles=KIT_ROLES)
    assert "local/fedefm_approval.json" in {one.path for one in manifest.files}
    (tmp_path / "project.yml").write_text(text.replace("approval: ask", "approval: asks"))
    assert main(["consortium", "kits"]) == 1
