"""A hospital runs a job only as somebody who may sign jobs signed it. Any doubt, any error: it does not run.

Nor does it where the signer's certificate is on the consortium's deny list (`fedefm.trust.revoked`), or where the
hospital asks its own people first and none has said yes (`fedefm.kits.approval`).

Measured on provisioned sites with FLARE 2.9, where the site tries to refuse a job:

| where | what is raised or answered | does the job run at that site? |
| --- | --- | --- |
| component `app_deployer`, its `deploy` | an error text, or any exception | no; the other sites go on |
| event `BEFORE_JOB_LAUNCH` | any exception | yes: FLARE logs it and goes on |
| the same | one launcher too many | no; the job ends for all |
| event `AUTHORIZE_COMMAND_CHECK` | any exception but `NotAuthorized` | yes |
| the same | `NotAuthorized` | no |

So the guard is the site's `app_deployer`, and checks once more before the launch, where it puts launchers that FLARE
cannot use first and takes them back when all is well: a server could start an app that was deployed long ago.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.app_deployer_spec import AppDeployerSpec
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import NotAuthorized
from nvflare.apis.workspace import Workspace
from nvflare.fuel.utils.zip_utils import unzip_all_from_bytes
from nvflare.private.fed.utils.app_deployer import AppDeployer

from fedefm.errors import TrustError
from fedefm.kits.approval import allowed
from fedefm.kits.limits import read_limits
from fedefm.trust import SignedManifest, verify_app
from fedefm.trust.certificates import FORBIDDEN_ROLE, load_certificate
from fedefm.trust.job_ledger import JobLedger
from fedefm.trust.kinds import JOB, JOB_ID, Limits
from fedefm.trust.listing import check_size
from fedefm.trust.revoked import must_be_good

REFUSAL = "refused by fedefm"  # stands where FLARE wants a launcher, and exactly one


class JobGuard(FLComponent, AppDeployerSpec):
    """The site's `app_deployer` in `local/resources.json`; list it last, so that it sees what other components raised.

    It has no settings: who may sign is fixed in `fedefm.trust`, and the root certificate is the one of the kit.
    """

    def deploy(
        self, workspace: Workspace, job_id: str, job_meta: dict, app_name: str, app_data: bytes, fl_ctx: FLContext
    ) -> str:
        """Verify the very bytes that are then deployed; an answer that is not empty refuses the job at this site."""
        try:
            check_id(job_id, job_meta)
            check_bytes(app_data, workspace, job_meta, app_name)
        except BaseException as error:
            reason = reason_of(error)
            self.log_error(fl_ctx, reason, fire_event=False)
            self._note(
                workspace, fl_ctx, lambda ledger: ledger.refused(job_id, reason, str(job_meta.get("name"))[:200])
            )
            return reason
        return AppDeployer().deploy(workspace, job_id, job_meta, app_name, app_data, fl_ctx) or ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Refuse a command by `NotAuthorized`, a launch by launchers that FLARE cannot use; it swallows all else."""
        if event_type == EventType.AUTHORIZE_COMMAND_CHECK:
            self._authorize(fl_ctx)
        elif event_type == EventType.BEFORE_JOB_LAUNCH:
            self._before_launch(fl_ctx)
        elif event_type == EventType.JOB_COMPLETED:
            job_id = str(fl_ctx.get_prop(FLContextKey.CURRENT_JOB_ID))
            workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)
            self._note(workspace, fl_ctx, lambda ledger: ledger.ended(job_id))

    def _note(self, workspace: Workspace, fl_ctx: FLContext, note: Callable[[JobLedger], None]) -> None:
        """Add to the ledger what has happened already: what goes wrong there changes nothing of it, and is logged."""
        try:
            note(JobLedger(Path(workspace.get_root_dir())))
        except BaseException as error:
            self.log_error(fl_ctx, reason_of(error), fire_event=False)

    def _authorize(self, fl_ctx: FLContext) -> None:
        try:
            check_people(fl_ctx.get_prop(FLContextKey.SECURITY_ITEMS), fl_ctx.get_prop(FLContextKey.EXCEPTIONS))
        except BaseException as error:
            raise NotAuthorized(reason_of(error)) from None

    def _before_launch(self, fl_ctx: FLContext) -> None:
        launchers = fl_ctx.get_prop(FLContextKey.JOB_LAUNCHER, [])
        _set_launchers(fl_ctx, [*launchers, REFUSAL, REFUSAL])  # never exactly one, whoever else adds or takes one
        check_deployed(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT), fl_ctx.get_prop(FLContextKey.JOB_META))
        _set_launchers(fl_ctx, launchers)


def reason_of(error: BaseException) -> str:
    """What the server may read: our own line, which names files of the job only, or just that the check failed."""
    if isinstance(error, TrustError):
        return f"{REFUSAL}: {error}"
    return f"{REFUSAL}: the check itself failed ({type(error).__name__}); ask the hospital to run `fedefm doctor`"


def check_id(job_id: str, job_meta: Mapping[str, Any]) -> None:
    """Refuse a job id that FLARE does not make: it is the name of the folder that FLARE empties for the job.

    Raises:
        TrustError: it is no UUID, which `local` and `startup` are not, or not the one that is checked before the start.
    """
    if not re.fullmatch(JOB_ID, job_id) or job_meta.get("job_id") != job_id:
        raise TrustError("the job's id is no UUID, or another than its own description says; submit it anew")


def check_bytes(app_data: bytes, workspace: Workspace, job_meta: Mapping[str, Any], app_name: str) -> None:
    """Unpack an app as FLARE would, into a folder of our own, verify it there, and note that it may be deployed.

    Raises:
        TrustError: it is not what somebody who may sign jobs signed for this site, it was here before, or this hospital
            has not said yes.
    """
    check_unpacked(app_data, job_limits(workspace))
    kit, job_id = Path(workspace.get_root_dir()), str(job_meta["job_id"])
    with tempfile.TemporaryDirectory() as folder:
        unzip_all_from_bytes(app_data, folder)
        manifest = _check(Path(folder), workspace, job_meta, app_name)
        JobLedger(kit).deployed(manifest, job_id, allowed(Path(folder), manifest, kit, job_id))


def check_unpacked(app_data: bytes, limits: Limits) -> None:
    """Refuse a bomb before a byte of it is written; unpacking stops at the sizes that an archive declares.

    Raises:
        TrustError: more files or bytes than a job may hold.
    """
    with zipfile.ZipFile(io.BytesIO(app_data)) as archive:
        sizes = [one.file_size for one in archive.infolist()]
    check_size(len(sizes), sum(sizes), JOB, limits)


def check_deployed(workspace: Workspace, job_meta: Mapping[str, Any]) -> SignedManifest:
    """Verify an app where it was deployed, and that this very signature was deployed for this very job and never ran.

    Raises:
        TrustError: the app is not as it was signed, or its signature was not deployed for this job or ran before. Other
            errors where a file is missing, which mean no as well.
    """
    job_id = job_meta["job_id"]
    app_name = Path(workspace.get_run_dir(job_id), "fl_app.txt").read_text()
    manifest = _check(Path(workspace.get_app_dir(job_id)), workspace, job_meta, app_name)
    JobLedger(Path(workspace.get_root_dir())).launched(manifest, job_id)
    return manifest


def check_people(items: Mapping[str, Any] | None, exceptions: Mapping[str, Any] | None) -> None:
    """Refuse a role that passes every policy, and a command that another component failed to judge.

    Args:
        items: who sent the command and who submitted the job, as FLARE has it; none for a command without a person.
        exceptions: what components raised at this event before.

    Raises:
        TrustError: a role is the forbidden one or is no text, or a component raised something.
    """
    for key in (FLContextKey.USER_ROLE, FLContextKey.SUBMITTER_ROLE):
        role = (items or {}).get(key) or ""
        if not isinstance(role, str) or role.strip().casefold() == FORBIDDEN_ROLE:
            raise TrustError(f"the role {FORBIDDEN_ROLE} passes every policy of FLARE; use another role")
    if exceptions:
        raise TrustError("another component of this site failed to judge the command; see its log")


def _check(folder: Path, workspace: Workspace, job_meta: Mapping[str, Any], app_name: str) -> SignedManifest:
    root = Path(workspace.get_file_path_in_startup("rootCA.pem"))
    site, limits = workspace.site_name, job_limits(workspace)
    manifest = verify_app(folder, root, job_meta, app_name=app_name, site=site, limits=limits)
    signer = load_certificate(manifest.certificate.encode(), "the signer's certificate")
    must_be_good(signer, Path(workspace.get_root_dir()), root)
    return manifest


def job_limits(workspace: Workspace) -> Limits:
    """How much a job may hold at this site, by its signed policy."""
    return read_limits(Path(workspace.get_site_config_dir()))[JOB.name]


def _set_launchers(fl_ctx: FLContext, launchers: list[Any]) -> None:
    fl_ctx.set_prop(FLContextKey.JOB_LAUNCHER, launchers, private=True, sticky=False)
