"""Fine-tuning on one machine: checks everything, runs the job, and leaves weights and a report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.exchange.record import RECORD_FILE
from fedefm.files import filled
from fedefm.finetune.record import build_record
from fedefm.finetune.rounds import tune_in_process
from fedefm.finetune.settings import SETTINGS_FILE, FineTune
from fedefm.finetune.weights import TUNED_FILE, check_theta, publish
from fedefm.flare.simulator import results_of
from fedefm.models.checkpoint import THETA_FILE, Checkpoint
from fedefm.report.tuned_page import render_tuned
from fedefm.report.write import JSON_NAME, write_page
from fedefm.resources import shipped
from fedefm.simulation.job import Simulated, run_simulated
from fedefm.simulation.workspace import check_out, check_site_names
from fedefm.training.kept import FOLDER

JOB = "finetune"
FINETUNE = shipped("jobs", JOB)
HERE = "theta"  # the id under which a file of the command line lies at the simulated server


def fine_tune(
    settings: FineTune,
    folders: Mapping[str, Path],
    theta: Checkpoint | None,
    out: Path,
    *,
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
        theta: of `read_theta`; None starts from random weights.
        out: folder for `tuned.safetensors` (or one folder for each hospital that tunes alone) and `report.json`. The
            same federated job goes on from its last round if one that was killed left it there.
        simulator: run the FLARE job in the simulator; else in this process, with the same result.
        job: FLARE job folder to run with these settings.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`; the paths in it are relative to `out`. The page `report.html` lies beside it.

    Raises:
        FedefmError: data, Theta or settings cannot be used, or the run failed. Then `out` holds a log at most.
    """
    check_site_names(folders)
    check_out(out, (TUNED_FILE, JSON_NAME, RECORD_FILE))
    if simulator:
        plain, models = settings.to_dict() | {"theta": ""}, dict[str, Path]()
        if theta is not None:
            check_theta(theta, settings)
            plain["theta"], models = HERE, {f"{HERE}/{THETA_FILE}": theta.file}
        run = Simulated(job, SETTINGS_FILE, plain, models, folders, threads, device)
        with run_simulated(run, out, on_event) as (record, workspace), filled(out) as part:
            write_page(
                record, render_tuned(record), part
            )  # it needs room, moving does not: an error here leaves the workspace
            _collect(record, workspace, sorted(folders), part)
    else:
        tuned = tune_in_process(settings, folders, theta, on_event, device=device, keep=out)
        source = None if theta is None else {"id": HERE, "sha256": theta.sha256}
        with filled(out) as part:
            record = build_record(settings, {"theta": source, **tuned.figures}, publish(settings, tuned.weights, part))
            write_page(record, render_tuned(record), part)
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    return record


def _collect(record: Mapping[str, Any], workspace: Path, sites: list[str], out: Path) -> None:
    """Move weights into `out`; those of hospitals that tuned alone come from their own run folders."""
    if record["model"]:
        shutil.move(results_of(workspace) / TUNED_FILE, out / TUNED_FILE)
    for site in sites:
        own = results_of(workspace, site) / TUNED_FILE
        if own.is_file():
            (out / site).mkdir(exist_ok=True)
            shutil.move(own, out / site / TUNED_FILE)
