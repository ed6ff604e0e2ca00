"""T6, T7: the hook at a hospital. Whatever it meets, a job that it cannot verify does not run."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthorized
from nvflare.apis.workspace import Workspace

from fedefm.flare import job_guard
from fedefm.flare.job_guard import REFUSAL, JobGuard, SignatureLedger
from fedefm.trust import sign_job
from fedefm.trust.kinds import LEDGER_NAME, TEXT
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


def test_a_signed_job_is_deployed_once(job: Path, workspace: Workspace) -> None:
    assert not deploy(job, workspace)
    assert deployed(workspace)
    assert "was here before" in deploy(job, workspace)


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
    before = sorted(Path(workspace.get_root_dir()).rglob("*"))
    meta = meta_of(job, job_id=name)
    answer = JobGuard().deploy(workspace, name, meta, "app", packed(job / "app"), FLContext())
    assert "the job's id is no UUID" in answer
    assert sorted(Path(workspace.get_root_dir()).rglob("*")) == before


def test_a_job_id_that_differs_from_the_one_checked_at_the_start_is_refused(job: Path, workspace: Workspace) -> None:
    assert "another than its own description" in deploy(job, workspace, job_id=JOB_ID[:-1] + "9")
    assert not deployed(workspace)


def test_a_damaged_ledger_refuses_and_names_its_line(job: Path, workspace: Workspace) -> None:
    ledger = Path(workspace.get_root_dir()) / LEDGER_NAME
    ledger.write_text('{"event": "deployed", "serial": "x", "job_id": "y"}\n{"event": "depl')
    assert f"{LEDGER_NAME} of this site: line 2 is damaged" in deploy(job, workspace)
    assert not deployed(workspace)


def test_a_line_that_could_not_be_written_whole_leaves_no_half(tmp_path: Path, monkeypatch) -> None:
    ledger = SignatureLedger(tmp_path)
    ledger.deployed("one", JOB_ID)
    whole, write = (tmp_path / LEDGER_NAME).read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:9]))  # a disk that is full
    with pytest.raises(OSError, match="No space left"):
        ledger.deployed("two", JOB_ID)
    assert (tmp_path / LEDGER_NAME).read_bytes() == whole
