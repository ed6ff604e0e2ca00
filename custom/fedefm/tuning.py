"""Fine-tuning on one machine: checks everything, runs the job, and leaves weights and a report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.exchange.events import Listener
from fedefm.finetune.record import TUNED_FILE, build_record, save_tuned
from fedefm.finetune.run import tune_in_process
from fedefm.finetune.settings import SETTINGS_FILE, FineTune
from fedefm.finetune.theta import THETA_FILE, read_theta
from fedefm.finetune.tuner import OWN_FILE
from fedefm.flare.job_files import OUTPUT, RECORD_FILE
from fedefm.flare.server_config import FILE as SERVER_FILE
from fedefm.report.write import JSON_NAME, write_together
from fedefm.resources import shipped
from fedefm.simulate import (
    LOG_FILE,
    SCRATCH,
    Follower,
    check_site_names,
    environment,
    failure,
    run_command,
    simulator_command,
    write_workspace,
)

JOB = "finetune"
FINETUNE = shipped("jobs", JOB)
HERE = "theta"  # the id under which a file of the command line lies at the simulated server


def check_new(out: Path) -> None:
    """Refuse a folder that already holds results.

    Raises:
        ConfigError: so, or it is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; name a new folder for the results")
    if any((out / name).exists() for name in (TUNED_FILE, JSON_NAME, RECORD_FILE)):
        raise ConfigError(f"{out}: already holds a run; choose another folder or move it away")


def fine_tune(
    settings: FineTune,
    folders: Mapping[str, Path],
    theta: Path | None,
    out: Path,
    *,
    root: Path | None = None,
    simulator: bool = True,
    job: Path = FINETUNE,
    threads: int = 1,
    device: str = "cpu",
    on_event: Listener = lambda event: None,
) -> dict[str, Any]:
    """Fine-tune with all hospitals on this machine.

    Args:
        settings: the job.
        folders: data folder of every hospital, by its name.
        theta: file of weights to start from; None starts from random weights.
        out: folder for `tuned.safetensors` (or one folder for each hospital that tunes alone) and `report.json`.
        root: the consortium's root certificate; with it the folder of `theta` must be signed.
        simulator: run the FLARE job in the simulator; else in this process, with the same result.
        job: FLARE job folder to run with these settings.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`; the paths in it are relative to `out`.

    Raises:
        FedefmError: data, Theta or settings cannot be used, or the run failed. Then `out` holds a log at most.
    """
    check_site_names(folders)
    check_new(out)
    found = None if theta is None else read_theta(theta, settings, root)
    if simulator:
        record = _simulated(settings, folders, theta, out, job, threads, device, on_event)
    else:
        tuned = tune_in_process(settings, folders, found, on_event, device=device, keep=out)
        source = None if found is None else {"id": HERE, "sha256": found.sha256}
        record = build_record(settings, {"theta": source, **tuned.figures}, save_tuned(settings, tuned.weights, out))
    write_together(out, {JSON_NAME: json.dumps(record, indent=2, allow_nan=False) + "\n"})
    return record


def _simulated(
    settings: FineTune,
    folders: Mapping[str, Path],
    theta: Path | None,
    out: Path,
    job: Path,
    threads: int,
    device: str,
    on_event: Listener,
) -> dict[str, Any]:
    scratch = out / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    copy, workspace = scratch / JOB, scratch / "workspace"
    _write_job(copy, settings, theta is not None, job)
    write_workspace(workspace, folders, threads=threads, device=device)
    _write_models(workspace / "local", theta)
    follower = Follower(on_event)
    command = simulator_command(copy, workspace, sorted(folders))
    code = run_command(command, environment(threads), out / LOG_FILE, follower)
    record = _collect(workspace, sorted(folders), out, follower, code)
    shutil.rmtree(scratch, ignore_errors=True)
    return record


def _write_job(job: Path, settings: FineTune, from_theta: bool, source: Path) -> None:
    shutil.copytree(source, job)
    plain = settings.to_dict() | {"theta": HERE if from_theta else ""}
    (job / "app" / "config" / SETTINGS_FILE).write_text(json.dumps(plain, indent=2) + "\n")


def _write_models(local: Path, theta: Path | None) -> None:
    """What the server's administrator would write: where the models lie."""
    (local / SERVER_FILE).write_text(json.dumps({"models": "models"}) + "\n")
    if theta is not None:
        (local / "models" / HERE).mkdir(parents=True)
        shutil.copy(theta, local / "models" / HERE / THETA_FILE)


def _collect(workspace: Path, sites: list[str], out: Path, follower: Follower, code: int) -> dict[str, Any]:
    """Move what the job left into `out`; weights of hospitals that tuned alone come from their own run folders."""
    results = workspace / "server" / "simulate_job" / OUTPUT
    if follower.failure or not (results / RECORD_FILE).is_file():
        raise failure(follower, code, out / LOG_FILE)
    record: dict[str, Any] = json.loads((results / RECORD_FILE).read_text())
    if record["model"]:
        shutil.move(results / TUNED_FILE, out / TUNED_FILE)
    for site in sites:
        own = workspace / site / "simulate_job" / OUTPUT / OWN_FILE
        if own.is_file():
            (out / site).mkdir(exist_ok=True)
            shutil.move(own, out / site / OWN_FILE)
    return record
