"""The server takes no job that brings code in files which FLARE would read or import (`fedefm.trust.configuration`).

Hospitals refuse such a job themselves (`fedefm.flare.job_guard`); this is for the server's own process of the job.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.apis.job_def import Job

from fedefm.trust.configuration import check_configuration
from fedefm.trust.names import check_path


class SubmittedJobs(SimpleJobDefManager):
    """FLARE's store of jobs, named as `job_manager` in the server's `local/resources.json`."""

    def create(self, meta: dict[str, Any], uploaded_content: str | bytes, fl_ctx: FLContext) -> dict[str, Any]:
        """Keep a job that was submitted.

        Raises:
            TrustError: it holds code, a file of a site's own, or a name that would be another one on the disk.
        """
        check_uploaded(uploaded_content)
        return super().create(meta, uploaded_content, fl_ctx)

    def get_app(self, job: Job, app_name: str, fl_ctx: FLContext) -> bytes:
        """An app as it is deployed, of a job that was cloned, or stored by an earlier version, too.

        Raises:
            TrustError: as `create`.
        """
        app: bytes = super().get_app(job, app_name, fl_ctx)
        check_uploaded(app)
        return app


def check_uploaded(content: str | bytes) -> None:
    """Look at the names in the archive of a job; nothing is unpacked.

    `zipfile` leaves out the parts `.` and `..` of a name when it unpacks, so `resources.json/.` becomes that file: a
    name that is not plain is none of ours.

    Args:
        content: the archive, or its path.

    Raises:
        TrustError: it holds code, a file of a site's own, or a name that would be another one on the disk.
    """
    with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as archive:
        check_configuration(check_path(name.removesuffix("/")) for name in archive.namelist())
