"""A launcher of job processes with which one crashed hospital does not end everyone's job."""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher

CRASHED = (JobReturnCode.EXECUTION_ERROR, JobReturnCode.ABORTED)


def tolerant(code: Any) -> Any:
    """A crash becomes UNKNOWN, which FLARE's server lets pass: the hospital is found dead, and the others go on."""
    return JobReturnCode.UNKNOWN if code in CRASHED else code


class TolerantHandle(JobHandleSpec):
    """A job process whose crash is not reported as the job's failure.

    Args:
        handle: what FLARE's own launcher gave.
    """

    def __init__(self, handle: JobHandleSpec):
        super().__init__()
        self._handle = handle

    def terminate(self) -> None:
        """End the process."""
        self._handle.terminate()

    def poll(self) -> Any:
        """The return code so far."""
        return tolerant(self._handle.poll())

    def wait(self) -> None:
        """Until the process ends."""
        self._handle.wait()


class TolerantLauncher(ClientProcessJobLauncher):
    """FLARE's launcher of a hospital's job process, with a tolerant handle; named in `resources.json`."""

    def launch_job(self, job_meta: dict, fl_ctx: FLContext) -> JobHandleSpec:
        """Start the process."""
        return TolerantHandle(super().launch_job(job_meta, fl_ctx))
