"""A plain FLARE job folder of a foundation job: `meta.json` and `app/config`, no code. It imports nothing of FLARE."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from fedefm.foundation.settings import SETTINGS_FILE, Settings
from fedefm.resources import JOB_CONFIG, shipped
from fedefm.trust.job import META

FOUNDATION = shipped("jobs", "foundation")


def write_job(job: Path, settings: Settings, source: Path = FOUNDATION, *, name: str | None = None) -> None:
    """Write a job folder with these settings in it, and a graph file that they name by path beside them.

    Args:
        job: the new folder.
        settings: that take the place of those of `source`.
        source: job folder whose FLARE configuration is copied.
        name: of the job, for FLARE and for whoever signs it; that of `source` by default.
    """
    shutil.copytree(source, job)
    plain = settings.to_dict()
    if Path(settings.topology).is_file():
        shutil.copy(settings.topology, job / JOB_CONFIG)
        plain["topology"] = Path(settings.topology).name
    (job / JOB_CONFIG / SETTINGS_FILE).write_text(json.dumps(plain, indent=2) + "\n")
    meta = json.loads((job / META).read_text()) | {"min_clients": settings.schedule.min_sites}
    meta["name"] = meta["name"] if name is None else name
    (job / META).write_text(json.dumps(meta, indent=2) + "\n")
