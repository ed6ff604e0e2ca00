"""A launcher of job processes with which one crashed hospital does not end everyone's job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher

from fedefm.flare.slurm import SlurmJobs, listen_for_compute_nodes
from fedefm.kits.slurm import read_slurm


def tolerant(code: Any) -> Any:
    """Any failure becomes UNKNOWN, which FLARE's server lets pass: the hospital is found dead, and the others go on.

    A cluster has more of them than a process: a job that was taken off its node, or whose time was over.
    """
    return code if code == JobReturnCode.SUCCESS else JobReturnCode.UNKNOWN


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
    """Starts a hospital's job processes, on its machine or its Slurm cluster; named in `resources.json`.

    Raises:
        ConfigError: the hospital's own `local/fedefm_site.json` names a cluster wrongly; FLARE then does not start.
    """

    def __init__(self) -> None:
        super().__init__()
        kit = Path.cwd()  # FLARE's main process of a site goes there before it makes this
        site = read_slurm(kit)
        self._cluster = None if site is None else SlurmJobs(kit, site)
        if site is not None:
            listen_for_compute_nodes(site)

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Start the process."""
        start = super().launch_job if self._cluster is None else self._cluster.launch_job
        return TolerantHandle(start(job_meta, fl_ctx))

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Offer itself before a launch; the cluster's commands are looked for when the site starts."""
        if self._cluster is not None and event_type in (EventType.SYSTEM_BOOTSTRAP, EventType.SYSTEM_END):
            self._cluster.handle_event(event_type, fl_ctx)
        super().handle_event(event_type, fl_ctx)
