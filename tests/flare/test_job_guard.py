"""T6, T7: the hook at a hospital. Whatever it meets, a job that it cannot verify does not run."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthorized
from nvflare.apis.workspace import Workspace

from fedefm.errors import TrustError
from fedefm.flare import job_guard
from fedefm.flare.job_guard import REFUSAL, JobGuard
from fedefm.kits.approval import MOST_WAITING, waiting
from fedefm.trust import JOB_ROLES, sign_job, verify_folder, verify_job
from fedefm.trust.certificates import load_certificate
from fedefm.trust.job_ledger import APPROVED, DENIED, JobLedger
from fedefm.trust.kinds import LEDGER_NAME, TEXT
from fedefm.trust.revoked import NONE, revoke, serial_of, take
from support.consortium_certificates import Authority, write_job

JOB_ID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@pytest.fixture
def workspace(consortium: Authority, tmp_path: Path) -> Workspace:
    root = tmp_path / "hospital-a"
    (root / "local").mkdir(parents=True)
    certificate, _ = consortium.root.write(root / "startup", "root")
    certificate.rename(root / "startup" / "rootCA.pem")
    return Workspace(str(root), "hospital-a")


@pytest.fixture
def job(consortium: Authority, tmp_path: Path) -> Path:
    lead, folder = consortium.issue("lead", "lead"), write_job(tmp_path / "job")
    sign_job(folder, lead.certificate, lead.key)
    return folder


def packed(app: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(app.rglob("*")):
            archive.write(path, path.relative_to(app).as_posix())
    return out.getvalue()


def meta_of(job: Path, **more: object) -> dict:
    return json.loads((job / "meta.json").read_text()) | {"job_id": JOB_ID, "submitter_role": "lead"} | more


def deploy(job: Path, workspace: Workspace, **more: object) -> str:
    return JobGuard().deploy(workspace, JOB_ID, meta_of(job, **more), "app", packed(job / "app"), FLContext())


def deployed(workspace: Workspace) -> bool:
    return any(Path(workspace.get_run_dir(JOB_ID)).rglob("foundation.json"))


def test_a_signed_job_that_ran_is_not_deployed_again(job: Path, workspace: Workspace) -> None:
    assert not deploy(job, workspace)
    assert deployed(workspace)
    launch(job, workspace)
    assert "was here before" in deploy(job, workspace)


def test_a_job_that_did_not_start_for_others_may_come_again_and_then_starts_under_its_last_id_alone(
    job: Path, workspace: Workspace
) -> None:
    kit, later = Path(workspace.get_root_dir()), JOB_ID[:-1] + "9"
    (manifest,) = verify_job(job, kit / "startup" / "rootCA.pem")
    ledger = JobLedger(kit)
    ledger.deployed(manifest, JOB_ID, "signature")
    ledger.deployed(manifest, later, "signature")
    with pytest.raises(TrustError, match="not deployed here for this job id"):
        ledger.launched(manifest, JOB_ID)
    ledger.launched(manifest, later)
    with pytest.raises(TrustError, match="ran before"):
        ledger.launched(manifest, later)


def test_a_changed_job_is_not_deployed(job: Path, workspace: Workspace) -> None:
    (job / "app/config/foundation.json").write_text('{"seed": 5}')
    assert deploy(job, workspace).startswith(REFUSAL)
    assert not deployed(workspace)


def test_a_bomb_is_refused_before_it_is_unpacked(
    job: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_guard, "unzip_all_from_bytes", lambda *given: pytest.fail("unpacked"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config/foundation.json", bytes(TEXT.bytes + 1))
    assert len(out.getvalue()) < 100_000
    answer = JobGuard().deploy(workspace, JOB_ID, meta_of(job), "app", out.getvalue(), FLContext())
    assert "the most that a job may hold" in answer


def test_t7_the_role_super_is_refused(job: Path, workspace: Workspace) -> None:
    assert "super" in deploy(job, workspace, submitter_role="super")
    assert not deployed(workspace)


@pytest.mark.parametrize("error", [RuntimeError("patient 7"), KeyError("x"), SystemExit(1), KeyboardInterrupt()])
def test_t7_whatever_the_check_raises_is_a_refusal_that_tells_nothing(
    error: BaseException, job: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(job_guard, "verify_app", broken)
    answer = deploy(job, workspace)
    assert answer.startswith(REFUSAL) and "patient" not in answer
    assert not deployed(workspace)


def test_without_a_root_certificate_nothing_is_deployed(job: Path, workspace: Workspace) -> None:
    Path(workspace.get_file_path_in_startup("rootCA.pem")).unlink()
    assert deploy(job, workspace).startswith(REFUSAL)
    assert not deployed(workspace)


def asked(**items: object) -> FLContext:
    context = FLContext()
    context.set_prop(FLContextKey.SECURITY_ITEMS, items, private=True, sticky=False)
    return context


@pytest.mark.parametrize("key", [FLContextKey.USER_ROLE, FLContextKey.SUBMITTER_ROLE])
@pytest.mark.parametrize("role", ["super", "SUPER ", 7])
def test_t7_a_command_of_such_a_role_is_not_authorised(key: str, role: object) -> None:
    with pytest.raises(NotAuthorized):
        JobGuard().handle_event(EventType.AUTHORIZE_COMMAND_CHECK, asked(**{key: role}))
    JobGuard().handle_event(EventType.AUTHORIZE_COMMAND_CHECK, asked(**{key: "lead"}))


def test_t7_a_hook_that_raised_before_denies_the_command() -> None:
    context = asked(**{FLContextKey.USER_ROLE: "lead"})
    context.set_prop(FLContextKey.EXCEPTIONS, {"other": RuntimeError("x")}, private=True, sticky=False)
    with pytest.raises(NotAuthorized):
        JobGuard().handle_event(EventType.AUTHORIZE_COMMAND_CHECK, context)


def launch(job: Path, workspace: Workspace) -> list:
    context = FLContext()
    context.set_prop(FLContextKey.JOB_LAUNCHER, ["ours"], private=True, sticky=False)
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)
    context.set_prop(FLContextKey.JOB_META, meta_of(job), private=True, sticky=False)
    try:
        JobGuard().handle_event(EventType.BEFORE_JOB_LAUNCH, context)
    except Exception:  # FLARE swallows it
        assert context.get_prop(FLContextKey.JOB_LAUNCHER) != ["ours"]
    return context.get_prop(FLContextKey.JOB_LAUNCHER)


def test_a_deployed_job_is_launched_once_and_never_again(job: Path, workspace: Workspace) -> None:
    deploy(job, workspace)
    assert launch(job, workspace) == ["ours"]
    assert launch(job, workspace).count(REFUSAL) == 2


def test_a_job_changed_after_its_deployment_is_not_launched(job: Path, workspace: Workspace) -> None:
    deploy(job, workspace)
    Path(workspace.get_app_dir(JOB_ID), "config", "foundation.json").write_text('{"seed": 6}')
    assert launch(job, workspace).count(REFUSAL) == 2


def test_a_job_that_was_never_deployed_is_not_launched(job: Path, workspace: Workspace) -> None:
    assert launch(job, workspace).count(REFUSAL) == 2


@pytest.mark.parametrize("name", ["local", "startup", "transfer", "..", "A" * 36])
def test_a_job_id_that_names_a_folder_of_the_site_is_refused(name: str, job: Path, workspace: Workspace) -> None:
    def files() -> list[Path]:
        found = Path(workspace.get_root_dir()).rglob("*")
        return sorted(path for path in found if not path.name.startswith(LEDGER_NAME))

    before = files()
    meta = meta_of(job, job_id=name)
    answer = JobGuard().deploy(workspace, name, meta, "app", packed(job / "app"), FLContext())
    assert "the job's id is no UUID" in answer
    assert files() == before


def test_a_job_id_that_differs_from_the_one_checked_at_the_start_is_refused(job: Path, workspace: Workspace) -> None:
    assert "another than its own description" in deploy(job, workspace, job_id=JOB_ID[:-1] + "9")
    assert not deployed(workspace)


def test_a_damaged_ledger_refuses_and_names_its_line(job: Path, workspace: Workspace) -> None:
    ledger = Path(workspace.get_root_dir()) / LEDGER_NAME
    ledger.write_text('{"event": "deployed", "serial": "x", "job_id": "y"}\n{"event": "depl')
    assert f"{LEDGER_NAME} of this site: line 2 is damaged" in deploy(job, workspace)
    assert not deployed(workspace)


def told(workspace: Workspace) -> list[tuple[str, str]]:
    lines = JobLedger(Path(workspace.get_root_dir())).read()
    return [(line["event"], line.get("allowed") or line.get("by") or line.get("signer") or "") for line in lines]


def test_the_ledger_says_who_signed_what_and_what_became_of_it(job: Path, workspace: Workspace) -> None:
    deploy(job, workspace)
    launch(job, workspace)
    deploy(job, workspace)
    context = FLContext()
    for key, value in ((FLContextKey.WORKSPACE_OBJECT, workspace), (FLContextKey.CURRENT_JOB_ID, JOB_ID)):
        context.set_prop(key, value, private=True, sticky=False)
    JobGuard().handle_event(EventType.JOB_COMPLETED, context)
    lines = JobLedger(Path(workspace.get_root_dir())).read()
    assert [line["event"] for line in lines] == ["deployed", "launched", "refused", "ended"]
    assert {line["name"] for line in lines} == {"foundation"} and {line["job_id"] for line in lines} == {JOB_ID}
    assert [line.get("signer") for line in lines] == ["lead", "lead", None, "lead"]
    assert lines[0]["allowed"] == "signature" and "was here before" in lines[2]["reason"] and lines[3]["sent"] == 0
    assert all(line["time"] for line in lines)


def says(workspace: Workspace, approval: object, name: str = "fedefm_site.json") -> Path:
    """What the hospital, or the consortium for it, says about approval; gives the kit."""
    kit = Path(workspace.get_root_dir())
    plain = {"data": "/nowhere", "approval": approval} if name == "fedefm_site.json" else approval
    (kit / "local" / name).write_text(json.dumps(plain))
    return kit


def test_a_job_waits_until_a_person_has_said_yes_and_then_the_same_folder_runs(job: Path, workspace: Workspace) -> None:
    kit = says(workspace, {"ask": True})
    for _ in range(2):
        assert "waits for a person of this hospital (fedefm approve " in deploy(job, workspace)
        assert not deployed(workspace)
    (kept,) = waiting(kit)
    manifest = verify_folder(kept, kit / "startup" / "rootCA.pem", kind="job", roles=JOB_ROLES)
    assert [event for event, _ in told(workspace)] == ["waiting", "refused", "refused"]
    JobLedger(kit).decided(manifest, APPROVED, "dr.who")
    assert not deploy(job, workspace)
    assert deployed(workspace) and told(workspace)[-1] == ("deployed", "approved by dr.who")
    launch(job, workspace)
    assert "was here before" in deploy(job, workspace)  # a yes is for one run


def test_a_job_that_was_denied_does_not_run_whatever_the_policy(job: Path, workspace: Workspace) -> None:
    kit = says(workspace, {"ask": True})
    deploy(job, workspace)
    manifest = verify_folder(waiting(kit)[0], kit / "startup" / "rootCA.pem", kind="job", roles=JOB_ROLES)
    JobLedger(kit).decided(manifest, DENIED, "dr.who")
    assert "has denied this job" in deploy(job, workspace)
    says(workspace, {"ask": False})
    assert "has denied this job" in deploy(job, workspace)
    JobLedger(kit).decided(manifest, APPROVED, "dr.who")
    assert not deploy(job, workspace)


def test_the_consortiums_default_holds_until_the_hospital_says_otherwise(job: Path, workspace: Workspace) -> None:
    kit = says(workspace, {"ask": True}, "fedefm_approval.json")
    assert "waits for a person" in deploy(job, workspace)
    (kit / "local" / "fedefm_site.json").write_text('{"data": "/nowhere"}')
    assert "waits for a person" in deploy(job, workspace)
    says(workspace, {"ask": False})
    assert not deploy(job, workspace)


def rule(**more: object) -> dict:
    return {"ask": True, "standing": [{"signer": "lead", "kinds": ["foundation"]} | more]}


def of_kind(job: Path, path: str, consortium: Authority) -> None:
    config = {"format_version": 2, "executors": [{"tasks": ["*"], "executor": {"path": path}}]}
    (job / "app/config/config_fed_client.json").write_text(json.dumps(config))
    lead = consortium.issue("lead", "lead")
    sign_job(job, lead.certificate, lead.key)


def test_a_standing_rule_lets_one_kind_of_one_signer_through(
    job: Path, workspace: Workspace, consortium: Authority
) -> None:
    of_kind(job, "fedefm.flare.foundation_executor.FoundationExecutor", consortium)
    for other in (rule(signer="another"), rule(kinds=["evaluation"]), rule(kinds=[])):
        says(workspace, other)
        assert "waits for a person" in deploy(job, workspace)
    says(workspace, rule())
    assert not deploy(job, workspace)
    assert told(workspace)[-1] == ("deployed", "standing rule")


def test_no_rule_fits_an_executor_that_is_none_of_ours(job: Path, workspace: Workspace, consortium: Authority) -> None:
    of_kind(job, "fedefm.flare.foundation_executor.Other", consortium)
    says(workspace, rule(kinds=["foundation", "finetune", "evaluation", "data_report"]))
    assert "waits for a person" in deploy(job, workspace)


@pytest.mark.parametrize("approval", ["ask", {"ask": "yes"}, {"asks": True}, {"ask": True, "standing": [{}]}, None])
def test_a_policy_that_cannot_be_read_refuses_and_tells_nothing_of_it(
    approval: object, job: Path, workspace: Workspace
) -> None:
    kit = says(workspace, approval)
    if approval is None:
        (kit / "local" / "fedefm_site.json").write_text("{")
    answer = deploy(job, workspace)
    assert "'approval' cannot be read" in answer and str(kit) not in answer
    assert not deployed(workspace)


def test_a_decision_that_was_cut_out_of_the_ledger_stops_every_job(job: Path, workspace: Workspace) -> None:
    kit = says(workspace, {"ask": True})
    deploy(job, workspace)
    (manifest,) = verify_job(job, kit / "startup" / "rootCA.pem")
    JobLedger(kit).decided(manifest, DENIED, "dr.who")
    lines = (kit / LEDGER_NAME).read_text().splitlines(keepends=True)
    (kit / LEDGER_NAME).write_text("".join(lines[:-1]))
    says(workspace, {"ask": False})
    assert f"{LEDGER_NAME} of this site: line 3 is missing at its end" in deploy(job, workspace)
    assert not deployed(workspace)


def test_no_more_jobs_are_kept_than_a_person_looks_at(workspace: Workspace, consortium: Authority, tmp_path) -> None:
    kit = says(workspace, {"ask": True})
    for number in range(MOST_WAITING + 2):
        job = write_job(tmp_path / str(number))
        lead = consortium.issue("lead", "lead")
        sign_job(job, lead.certificate, lead.key)
        deploy(job, workspace)
    assert len(waiting(kit)) == MOST_WAITING


def test_a_job_of_a_lead_who_was_revoked_is_neither_deployed_nor_launched(
    job: Path, workspace: Workspace, consortium: Authority
) -> None:
    kit, admin = Path(workspace.get_root_dir()), consortium.issue("admin", "project_admin")
    root = kit / "startup" / "rootCA.pem"
    (manifest,) = verify_job(job, root)
    assert not deploy(job, workspace)
    serial = serial_of(load_certificate(manifest.certificate.encode()))
    take(kit, revoke(NONE, [(serial, "lead")], admin.certificate, admin.key)[1], root)
    assert launch(job, workspace).count(REFUSAL) == 2
    assert "the certificate of lead was revoked by the consortium" in deploy(job, workspace)
