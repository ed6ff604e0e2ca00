"""A plain FLARE job folder of a foundation job: `meta.json` and `app/config`, no code. It imports nothing of FLARE."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fedefm.files import new_folder
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

    Raises:
        ConfigError: the place is taken, or cannot be written; then nothing is there.
    """
    plain, meta = settings.to_dict(), json.loads((source / META).read_text())
    meta |= {"min_clients": settings.schedule.min_sites} | ({} if name is None else {"name": name})
    with new_folder(job) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        if Path(settings.topology).is_file():
            shutil.copy(settings.topology, folder / JOB_CONFIG)
            plain["topology"] = Path(settings.topology).name
        _write(folder / JOB_CONFIG / SETTINGS_FILE, plain)
        _write(folder / META, meta)


def _write(path: Path, plain: Any) -> None:
    """Write readable JSON, its keys as they are."""
    path.write_text(json.dumps(plain, indent=2) + "\n")
