"""A hospital runs a job only as somebody who may sign jobs signed it. Any doubt, any error: it does not run.

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

import errno
import io
import json
import os
import re
import tempfile
import threading
import zipfile
from collections.abc import Mapping
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
from fedefm.kits.limits import read_limits
from fedefm.trust import SignedManifest, verify_app
from fedefm.trust.certificates import FORBIDDEN_ROLE
from fedefm.trust.kinds import JOB, JOB_ID, LEDGER_NAME, Limits
from fedefm.trust.listing import check_size

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
            manifest = check_bytes(app_data, workspace, job_meta, app_name)
            SignatureLedger(Path(workspace.get_root_dir())).deployed(manifest.serial, job_id)
        except BaseException as error:
            reason = reason_of(error)
            self.log_error(fl_ctx, reason, fire_event=False)
            return reason
        return AppDeployer().deploy(workspace, job_id, job_meta, app_name, app_data, fl_ctx) or ""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Refuse a command by `NotAuthorized`, a launch by launchers that FLARE cannot use; it swallows all else."""
        if event_type == EventType.AUTHORIZE_COMMAND_CHECK:
            self._authorize(fl_ctx)
        elif event_type == EventType.BEFORE_JOB_LAUNCH:
            self._before_launch(fl_ctx)

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


def check_bytes(app_data: bytes, workspace: Workspace, job_meta: Mapping[str, Any], app_name: str) -> SignedManifest:
    """Unpack an app as FLARE would, into a folder of our own, and verify it there.

    Raises:
        TrustError: it is not what somebody who may sign jobs signed for this site.
    """
    check_unpacked(app_data, job_limits(workspace))
    with tempfile.TemporaryDirectory() as folder:
        unzip_all_from_bytes(app_data, folder)
        return _check(Path(folder), workspace, job_meta, app_name)


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
    SignatureLedger(Path(workspace.get_root_dir())).launched(manifest.serial, job_id)
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


class SignatureLedger:
    """Which signatures were deployed and launched here, each once: an old job cannot be played again.

    One JSON line each, in the site's folder. The hospital may look at it; without it old jobs could run again.

    Args:
        folder: the site's workspace.
    """

    _lock = threading.Lock()

    def __init__(self, folder: Path):
        self._path = folder / LEDGER_NAME

    def deployed(self, serial: str, job_id: str) -> None:
        """Note a signature before its job is deployed.

        Raises:
            TrustError: it was here before.
        """
        with self._lock:
            if any(line["serial"] == serial for line in self._read()):
                raise TrustError("this signed job was here before; sign it again with `fedefm trust sign`")
            self._add("deployed", serial, job_id)

    def launched(self, serial: str, job_id: str) -> None:
        """Note a launch before it happens.

        Raises:
            TrustError: the signature was not deployed for this job, or was launched before.
        """
        with self._lock:
            before = [(line["event"], line["job_id"]) for line in self._read() if line["serial"] == serial]
            if before != [("deployed", job_id)]:
                raise TrustError("this signed job was not deployed here for this job id, or ran before; submit it anew")
            self._add("launched", serial, job_id)

    def _read(self) -> list[dict[str, str]]:
        """All lines; one that cannot be read is an error, and so a refusal."""
        if not self._path.exists():
            return []
        lines = []
        for number, text in enumerate(self._path.read_text().splitlines(), 1):
            try:
                line = json.loads(text)
                lines.append({key: str(line[key]) for key in ("event", "serial", "job_id")})
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise TrustError(
                    f"{LEDGER_NAME} of this site: line {number} is damaged; if it was cut off, remove that line alone, "
                    "and sign the job anew"
                ) from error
        return lines

    def _add(self, event: str, serial: str, job_id: str) -> None:
        opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        line = json.dumps({"event": event, "serial": serial, "job_id": job_id}) + "\n"
        try:
            before = os.fstat(opened).st_size
            try:
                if os.write(opened, line.encode()) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(opened)
            except OSError:
                os.ftruncate(opened, before)  # half a line would refuse every later job
                raise
        finally:
            os.close(opened)


def _check(folder: Path, workspace: Workspace, job_meta: Mapping[str, Any], app_name: str) -> SignedManifest:
    root = Path(workspace.get_file_path_in_startup("rootCA.pem"))
    site, limits = workspace.site_name, job_limits(workspace)
    return verify_app(folder, root, job_meta, app_name=app_name, site=site, limits=limits)


def job_limits(workspace: Workspace) -> Limits:
    """How much a job may hold at this site, by its signed policy."""
    return read_limits(Path(workspace.get_site_config_dir()))[JOB.name]


def _set_launchers(fl_ctx: FLContext, launchers: list[Any]) -> None:
    fl_ctx.set_prop(FLContextKey.JOB_LAUNCHER, launchers, private=True, sticky=False)
