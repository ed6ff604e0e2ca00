"""`fedefm job sign` and `submit`: a setting that the job could not use, or a kit that may not sign, is told at once."""

import json
import shutil
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, TrustError
from fedefm.federation.console import Console
from fedefm.resources import JOB_CONFIG, shipped
from fedefm.trust import JOB_ROLES, verify_folder, verify_job
from support.consortium_certificates import Authority
from support.kits import write_kit, write_persons_kit

CONSORTIUM = Authority()


@pytest.fixture
def lead(tmp_path: Path) -> Path:
    return write_persons_kit(
        tmp_path / "lead", CONSORTIUM, CONSORTIUM.issue("lead@x.test", "lead"), "lead@x.test"
    ).folder


@pytest.fixture
def job(tmp_path: Path) -> Path:
    assert main(["job", "write", "--out", str(tmp_path / "job")]) == 0
    return tmp_path / "job"


def said(words: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The one line of a refusal."""
    capsys.readouterr()
    assert main(words) == code
    error = capsys.readouterr().err
    assert error.startswith("fedefm: ") and error.count("\n") == 1, error
    return error


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_kits_own_key_signs_a_job(job: Path, lead: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "sign", str(job), "--startup-kit", str(lead)]) == 0
    (signed,) = verify_job(job, lead / "startup" / "rootCA.pem")
    assert "signed by lead@x.test" in capsys.readouterr().out and signed.subject == "foundation"


@pytest.mark.parametrize("words", [["job", "sign"], ["job", "submit"], ["trust", "sign"]])
@pytest.mark.parametrize(
    ("kind", "wrong", "named"),
    [
        ("foundation", {"round": 3}, "round"),
        ("foundation", {"size": -1}, "size"),
        ("foundation", {"model": {"architecture": "Unet", "encoder": "resnot18"}}, "resnot18"),
        ("finetune", {"step": 3}, "did you mean 'steps'"),
        ("evaluation", {"model": {"architecture": "Unot", "encoder": "resnet18"}}, "Unot"),
        ("data_report", {"least_image": 3}, "did you mean 'least_images'"),
    ],
)
def test_a_setting_that_the_job_could_not_use_is_not_signed(
    words: list[str], kind: str, wrong: dict, named: str, lead: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(shipped("jobs", kind), tmp_path / kind)
    change(folder / JOB_CONFIG / f"{kind}.json", **wrong)
    startup = lead / "startup"
    kit = ["--cert", str(startup / "client.crt"), "--key", str(startup / "client.key")]
    command = [*words, str(folder), *(kit if words[0] == "trust" else ["--startup-kit", str(lead)])]
    assert named in said(command, capsys, ConfigError.exit_code)
    assert not list(folder.rglob("fedefm-manifest*"))


@pytest.mark.parametrize("kind", ["foundation", "finetune", "evaluation", "data_report"])
def test_every_job_of_ours_can_be_signed(kind: str, lead: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shipped("jobs", kind), tmp_path / kind)
    assert main(["job", "sign", str(folder), "--startup-kit", str(lead)]) == 0


def test_kits_that_may_not_sign(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = write_persons_kit(tmp_path / "m", CONSORTIUM, CONSORTIUM.issue("m@x.test", "member"), "m@x.test").folder
    hospital = write_kit(tmp_path / "h", CONSORTIUM, CONSORTIUM.issue("hospital-a")).folder
    for verb in ("sign", "submit"):
        command = ["job", verb, str(job), "--startup-kit"]
        assert "member" in said([*command, str(member)], capsys, TrustError.exit_code)
        assert "is the kit of a hospital" in said([*command, str(hospital)], capsys, ConfigError.exit_code)
        assert "not one participant's kit" in said([*command, str(tmp_path)], capsys, ConfigError.exit_code)


def test_as_signed_needs_a_signature_that_holds(job: Path, lead: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["job", "submit", str(job), "--startup-kit", str(lead), "--as-signed"]
    said(command, capsys, TrustError.exit_code)
    assert main(["job", "sign", str(job), "--startup-kit", str(lead)]) == 0
    change(job / JOB_CONFIG / "foundation.json", size=128)
    said(command, capsys, TrustError.exit_code)


def test_submit_gives_the_id_and_names_the_next_command(
    job: Path, lead: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """FLARE's part alone is replaced here; tests/federation/test_report.py submits to a real server."""
    sent: list[Path] = []
    monkeypatch.setattr(Console, "submit", lambda self, folder: sent.append(folder) or "one-id")
    capsys.readouterr()
    assert main(["job", "submit", str(job), "--startup-kit", str(lead)]) == 0
    assert f"next: fedefm watch one-id --startup-kit {lead}" in capsys.readouterr().out
    before = verify_job(job, lead / "startup" / "rootCA.pem")[0].serial
    assert main(["job", "submit", str(job), "--startup-kit", str(lead), "--as-signed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job_id": "one-id"} and sent == [job, job]
    assert verify_job(job, lead / "startup" / "rootCA.pem")[0].serial == before
    assert main(["job", "submit", str(job), "--startup-kit", str(lead), "--json"]) == 0
    assert verify_job(job, lead / "startup" / "rootCA.pem")[0].serial != before


def test_a_report_is_fetched_once_the_job_is_over(
    lead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """FLARE's part alone is replaced here too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Console, "status_of", lambda self, job: "RUNNING")
    fetch = ["report", "one-id", "--startup-kit", str(lead)]
    assert "is RUNNING; `fedefm watch one-id`" in said(fetch, capsys, ConfigError.exit_code)
    monkeypatch.setattr(Console, "status_of", lambda self, job: "FINISHED:COMPLETED")
    monkeypatch.setattr(
        Console, "download", lambda self, job, folder: (folder / job).mkdir(parents=True) or folder / job
    )
    assert "holds no record.json" in said(fetch, capsys, ConfigError.exit_code)
    assert "is there already" in said(fetch, capsys, ConfigError.exit_code)
    assert "--sign needs a key" in said(["report", "results/one-id", "--sign"], capsys, ConfigError.exit_code)
    assert "not the id of a job" in said(
        ["report", "../other", "--startup-kit", str(lead)], capsys, ConfigError.exit_code
    )


def test_a_signed_report_is_held_against_its_signature(
    lead: Path, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, root = tmp_path / "run", lead / "startup" / "rootCA.pem"
    site = f"--site=east={consortium['east']}"
    assert main(["data", "report", site, "--in-process", "--out", str(run)]) == 0
    assert main(["report", str(run / "report.json"), "--startup-kit", str(lead), "--sign"]) == 0
    signed = verify_folder(run, root, kind="report", roles=JOB_ROLES)
    assert {"report.json", "report.html"} <= {one.path for one in signed.files}
    verify = ["trust", "verify", str(run), "--root", str(root)]
    assert main(verify) == 0
    (run / "report.html").write_text((run / "report.html").read_text().replace("east", "west"))
    assert "report.html" in said(verify, capsys, TrustError.exit_code)
