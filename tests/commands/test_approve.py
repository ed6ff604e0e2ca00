"""`fedefm site jobs`, `fedefm approve` and `fedefm site ledger`, as a hospital's people use them."""

import json

import pytest

from fedefm.cli import main
from fedefm.errors import TrustError
from fedefm.flare.job_folder import write_job
from fedefm.foundation.methods import job_settings
from fedefm.kits.approval import allowed, waiting
from fedefm.trust import sign_job
from fedefm.trust.job_ledger import JobLedger
from fedefm.trust.ledger import JOBS, OUTBOX, Ledger
from support.consortium_certificates import Authority
from support.kits import write_kit


@pytest.fixture
def kit(tmp_path):
    """A hospital that asks, with one job of a lead that waits."""
    consortium = Authority()
    kit = write_kit(tmp_path / "hospital-a", consortium, consortium.issue("hospital-a"))
    kit.local.mkdir()
    (kit.local / "fedefm_site.json").write_text('{"data": "/data", "approval": {"ask": true}}')
    lead = consortium.issue("lead@x", "lead")
    write_job(tmp_path / "round-1", job_settings(), name="round-1")
    (manifest,) = sign_job(tmp_path / "round-1", lead.certificate, lead.key)
    with pytest.raises(TrustError, match="waits for a person"):
        allowed(tmp_path / "round-1" / "app", manifest, kit.folder, "some-id")
    return kit


def manifest_of(kit):
    return json.loads((waiting(kit.folder)[0] / "fedefm-manifest.json").read_text())


def test_what_waits_is_listed_with_the_command_that_decides(kit, capsys):
    assert main(["site", "jobs", str(kit.folder)]) == 0
    said, serial = capsys.readouterr().out, manifest_of(kit)["serial"]
    assert f"waits  {serial[:8]}  round-1, signed by lead@x" in said
    assert f"fedefm approve {serial[:8]} --kit {kit.folder}" in said
    assert main(["site", "jobs", str(kit.folder), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["waiting"] == [serial] and [line["event"] for line in plain["events"]] == ["waiting"]


@pytest.mark.parametrize(("words", "event"), [([], "approved"), (["--deny"], "denied")])
def test_a_person_reads_one_page_and_decides(kit, words, event, capsys):
    assert main(["approve", "round-1", "--kit", str(kit.folder), "--yes", "--by", "A. Noether", *words]) == 0
    said = capsys.readouterr().out
    assert "lead@x (lead)" in said and "8 rounds" in said and "33 of distillation" in said
    assert "Unet on tu-test_resnet, 96 pixels" in said and "weights after each task" in said
    assert '\n  wire: "float32"\n' in said and len(said.splitlines()) < 40
    line = JobLedger(kit.folder).read()[-1]
    assert (line["event"], line["by"], line["name"]) == (event, "A. Noether", "round-1")
    assert waiting(kit.folder) == []


def test_without_an_answer_nothing_is_decided(kit, capsys):
    assert main(["approve", "round-1", "--kit", str(kit.folder)]) == 2
    assert "nobody is there to answer" in capsys.readouterr().err
    assert [line["event"] for line in JobLedger(kit.folder).read()] == ["waiting"]


@pytest.mark.parametrize("name", ["round-2", "ffff", ""])
def test_a_name_that_is_no_job_names_those_that_wait(kit, name, tmp_path, capsys):
    if name == "":
        write_more(kit, tmp_path)
    assert main(["approve", name, "--kit", str(kit.folder), "--yes"]) == 2
    assert "round-1" in capsys.readouterr().err


def write_more(kit, tmp_path):
    consortium = Authority()
    lead = consortium.issue("lead@x", "lead")
    write_job(tmp_path / "again", job_settings(), name="round-1")
    (manifest,) = sign_job(tmp_path / "again", lead.certificate, lead.key)
    with pytest.raises(TrustError):
        allowed(tmp_path / "again" / "app", manifest, kit.folder, "some-id")


def test_a_job_folder_is_approved_before_it_is_submitted(kit, tmp_path):
    assert main(["approve", str(tmp_path / "round-1"), "--kit", str(kit.folder), "--yes"]) == 0
    serial = json.loads((tmp_path / "round-1" / "app" / "fedefm-manifest.json").read_text())["serial"]
    assert JobLedger(kit.folder).decision_of(serial)["event"] == "approved"


def test_a_job_that_was_changed_while_it_waited_is_not_approved(kit, capsys):
    path = waiting(kit.folder)[0] / "config" / "foundation.json"
    path.write_text(path.read_text().replace('"rounds": 8', '"rounds": 800'))
    assert main(["approve", "round-1", "--kit", str(kit.folder), "--yes"]) == 8
    assert "foundation.json: changed" in capsys.readouterr().err
    assert JobLedger(kit.folder).read()[-1]["event"] == "waiting"


def test_the_ledger_is_printed_and_verified(kit, capsys):
    outbox = Ledger(kit.folder, OUTBOX)
    outbox.append(
        "sent", job="j", signer="lead@x", task="0/local/a@a", recipient="s", bytes=5, figures=["loss"], weights="f" * 64
    )
    noted = outbox.end().sha256
    assert main(["site", "ledger", str(kit.folder)]) == 0
    said = capsys.readouterr().out
    assert "0/local/a@a  to s  job j of lead@x: 1 figures" in said
    assert f"{OUTBOX}: whole, 1 lines, the last has SHA-256 {noted}" in said and f"{JOBS}: whole, 1 lines" in said
    outbox.append("sent", task="more")
    assert main(["site", "ledger", str(kit.folder), "--verify", "--holds", noted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ledgers"][OUTBOX]["lines"] == 2
    path = kit.folder / OUTBOX
    path.write_text(path.read_text().replace("lead@x", "lead@y"))
    assert main(["site", "ledger", str(kit.folder), "--verify"]) == 8
    assert "line 1 was changed" in capsys.readouterr().err
