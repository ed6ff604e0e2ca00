"""The server takes no job that brings code in files which FLARE would read or import (`fedefm.trust.configuration`).

Hospitals refuse such a job themselves (`fedefm.flare.job_guard`); this is for the server's own process of the job.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.job_def_manager import SimpleJobDefManager

from fedefm.trust.configuration import check_configuration


class SubmittedJobs(SimpleJobDefManager):
    """FLARE's store of jobs, named as `job_manager` in the server's `local/resources.json`."""

    def create(self, meta: dict[str, Any], uploaded_content: str | bytes, fl_ctx: FLContext) -> dict[str, Any]:
        """Keep a job that was submitted.

        Raises:
            TrustError: it holds code, or a file of a site's own.
        """
        check_uploaded(uploaded_content)
        return super().create(meta, uploaded_content, fl_ctx)


def check_uploaded(content: str | bytes) -> None:
    """Look at the names in the archive of a job; nothing is unpacked.

    Args:
        content: the archive, or its path.

    Raises:
        TrustError: it holds code, or a file of a site's own.
    """
    with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as archive:
        check_configuration(archive.namelist())
