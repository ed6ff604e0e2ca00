"""A job that starts from finished weights, in FLARE's simulator on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.exchange.record import RECORD_FILE
from fedefm.flare.simulator import results_of
from fedefm.resources import JOB_CONFIG
from fedefm.simulation.process import LOG_FILE, empty_scratch, failure, run_job
from fedefm.simulation.workspace import write_server, write_workspace
from fedefm.training.kept import FOLDER


@dataclass(frozen=True)
class Simulated:
    """A job and what it runs with.

    Attributes:
        job: FLARE job folder.
        settings_file: its settings, beside its FLARE configuration.
        settings: that take their place.
        models: the server's folder of models: relative path to file.
        folders: data folder of every hospital, by its name.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        least_images: fewest images that a figure may rest on.
    """

    job: Path
    settings_file: str
    settings: Mapping[str, Any]
    models: Mapping[str, Path]
    folders: Mapping[str, Path]
    threads: int = 1
    device: str = "cpu"
    least_images: int = 1


@contextmanager
def run_simulated(run: Simulated, out: Path, on_event: Listener) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run a job, give its record and FLARE's workspace, and remove the workspace in the end; after a failure it stays.

    Args:
        run: the job.
        out: gets the log, and whatever the caller moves out of the workspace.
        on_event: told every event as it happens.

    Raises:
        FedefmError: the run failed; the message says why and names the log.
    """
    scratch = empty_scratch(out)
    copy, workspace = scratch / run.job.name, scratch / "workspace"
    shutil.copytree(run.job, copy)
    (copy / JOB_CONFIG / run.settings_file).write_text(json.dumps(run.settings, indent=2) + "\n")
    write_workspace(workspace, run.folders, threads=run.threads, device=run.device, least_images=run.least_images)
    write_server(workspace, run.models, out / FOLDER)
    log = out / LOG_FILE
    follower, code = run_job(copy, workspace, run.folders, threads=run.threads, log=log, on_event=on_event)
    record = results_of(workspace) / RECORD_FILE
    if follower.failure or not record.is_file():
        raise failure(follower, code, log)
    yield json.loads(record.read_text()), workspace
    shutil.rmtree(scratch, ignore_errors=True)
