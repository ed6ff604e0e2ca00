"""A hospital's job processes as jobs of its Slurm cluster, with all that holds for them on one machine.

FLARE's own way, `nvflare deploy prepare`, writes another kit: without the check at the start, with FLARE's launcher in
place of ours, and with files that no signature covers. Here the kit stays as it was signed, and the hospital names its
cluster in its own `local/fedefm_site.json`. What differs from FLARE's launcher, and why:

| here | because |
| --- | --- |
| no container around the job process (`sandbox: none`) | FLARE hides the kit's folder in it, where the ledgers lie |
| what a job says about Slurm is dropped | it could name a command that FLARE runs on further nodes |
| the job process has `NVFLARE_SECURE_LOGGING`, and imports nothing from its folder | `sbatch --export=NIL` drops both |
| it comes back over mutual TLS | FLARE's default within a site is clear text, meant for the loopback |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import ConnectionSecurity
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.apis.job_launcher_spec import JobHandleSpec
from nvflare.app_opt.job_launcher.slurm import ClientSlurmJobLauncher
from nvflare.fuel.f3.comm_config import CommConfigurator

from fedefm.kits.slurm import Slurm

FIRST = "umask 077\nexport NVFLARE_SECURE_LOGGING=true PYTHONSAFEPATH=1 MALLOC_ARENA_MAX=4\n"


class SlurmJobs(ClientSlurmJobLauncher):
    """FLARE's launcher, told what the hospital wants.

    Args:
        kit: the site's folder, the same on the compute nodes.
        site: the hospital's own settings.
    """

    def __init__(self, kit: Path, site: Slurm):
        super().__init__(
            workspace_path=str(kit),
            sandbox="none",
            python_path=str(site.python or sys.executable),
            executables={},
            internal_port=site.port,
            sbatch_directives=site.directives,
            setup=FIRST + site.setup,
            parent_host=site.parent_host,
            poll_interval=site.poll_seconds,
            pending_timeout=site.queue_seconds,
        )
        self._site = site

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> JobHandleSpec:
        """Hand the job process to `sbatch`."""
        return super().launch_job(as_the_site_wants(job_meta, self._site), fl_ctx)


def as_the_site_wants(job_meta: Mapping[str, Any], site: Slurm) -> dict[str, Any]:
    """A job's description, with the hospital's resources in place of all that the job says about them."""
    wanted = {"gpus_per_node": site.gpus or None, "cpus_per_node": site.cpus, "mem_per_node": site.megabytes}
    given = {key: value for key, value in wanted.items() if value is not None}
    own = {JobMetaKey.JOB_LAUNCHER_SPEC.value: {"default": {"slurm": given}}, JobMetaKey.RESOURCE_SPEC.value: {}}
    return {**job_meta, **own}


def listen_for_compute_nodes(site: Slurm) -> None:
    """Let this process listen for its job processes beyond the loopback; before FLARE opens its end point.

    FLARE reads this off a file `comm_config.json` of the kit, which is none of those that the consortium signs.
    """
    resources = {"host": site.listen, "port": site.port, "connection_security": ConnectionSecurity.MTLS}
    CommConfigurator._configuration = {
        "allow_adhoc_conns": False,
        "backbone_conn_gen": 2,
        "internal": {"scheme": "tcp", "resources": resources},
    }
    CommConfigurator._config_loaded = True
