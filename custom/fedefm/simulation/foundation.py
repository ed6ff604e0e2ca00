"""A whole federation on one machine: prepares a workspace, starts `nvflare simulator`, and collects what it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Listener
from fedefm.exchange.record import RECORD_FILE
from fedefm.files import filled
from fedefm.flare.job_folder import FOUNDATION, write_job
from fedefm.flare.simulator import EVENTS, results_of
from fedefm.foundation.initial import start_weights, with_start_named
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import THETA_FILE, Checkpoint, load_weights
from fedefm.simulation.process import LOG_FILE, Follower, empty_scratch, failure, run_job
from fedefm.simulation.workspace import check_out, check_site_names, write_server, write_workspace

HERE = "start"  # the id under which a file of the command line lies at the simulated server


def simulate(
    settings: Settings,
    folders: Mapping[str, Path],
    out: Path,
    *,
    threads: int = 1,
    device: str = "cpu",
    job: Path = FOUNDATION,
    on_event: Listener = lambda event: None,
    keep_workspace: bool = False,
    theta: Checkpoint | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Run a job in FLARE's simulator with one process a hospital.

    Args:
        settings: the job.
        folders: data folder of every hospital, by its name.
        out: folder for `theta.safetensors`, `models/`, `record.json`, `tb_events/` and the log.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        job: FLARE job folder to run with these settings.
        on_event: told every event as it happens.
        keep_workspace: leave FLARE's workspace under `out/simulator`; it stays after a failure in any case.
        theta: an earlier Theta to start from; None starts from the seed.
        keep: folder in which the rounds are kept, so that the same job goes on if it was killed.

    Returns:
        The content of `record.json`; the paths in it are relative to `out`.

    Raises:
        ConfigError: a wrong site name, a missing data folder, `out` already holds a run, or the method pools images.
        FedefmError: the run failed; the message says why and names the log.
    """
    if settings.rules.pooled:
        raise ConfigError(f"'{settings.schedule.method}' needs all images in one process; run it with --in-process")
    check_site_names(folders)
    check_out(out)
    scratch = empty_scratch(out)
    copy, workspace = scratch / "job", scratch / "workspace"
    if theta is not None:
        start_weights(settings, theta)
        settings = replace(with_start_named(settings, theta), start=HERE)
    write_job(copy, settings, job)
    write_workspace(workspace, folders, threads=threads, device=device)
    if keep is not None:
        write_server(workspace, {} if theta is None else {f"{HERE}/{THETA_FILE}": theta.file}, keep)
    follower, code = run_job(copy, workspace, folders, threads=threads, log=out / LOG_FILE, on_event=on_event)
    record = collect(results_of(workspace), out, follower, code)
    if not keep_workspace:
        shutil.rmtree(scratch, ignore_errors=True)
    return record


def collect(results: Path, out: Path, follower: Follower, code: int) -> dict[str, Any]:
    """Move a run's results into `out`, Theta last, and read its record.

    Raises:
        FedefmError: there is no complete result; of the kind that ended the job where it told.
    """
    record_file = results / RECORD_FILE
    record = json.loads(record_file.read_text()) if record_file.is_file() and not follower.failure else None
    theta = record and record.get("theta")
    if record is None or (theta and not (results / theta["path"]).is_file()):
        raise failure(follower, code, out / LOG_FILE)
    if theta:
        _must_match(results / theta["path"], theta["sha256"])
    events = results.parent / EVENTS
    with filled(out) as part:
        if events.is_dir():
            shutil.copytree(events, part / EVENTS)  # the one thing that needs room: all else is renamed
        if (results / "models").is_dir():
            shutil.move(results / "models", part / "models")
        shutil.move(record_file, part / RECORD_FILE)
        if theta:
            shutil.move(results / theta["path"], part / theta["path"])
    return record


def _must_match(path: Path, sha256: str) -> None:
    if load_weights(path).sha256 != sha256:
        raise FedefmError(f"{path}: is not what the record names; run again")
