"""Evaluation on one machine: checks everything, runs the job, and leaves a report with its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.evaluation.models import SUFFIX, check_models
from fedefm.evaluation.rounds import evaluate_in_process
from fedefm.evaluation.settings import SETTINGS_FILE, Evaluation
from fedefm.exchange.events import Listener
from fedefm.exchange.record import RECORD_FILE
from fedefm.foundation.record import versions
from fedefm.models.checkpoint import Checkpoint
from fedefm.report.evaluation import render_evaluation
from fedefm.report.write import JSON_NAME, write_page
from fedefm.resources import shipped
from fedefm.simulation.job import Simulated, run_simulated
from fedefm.simulation.workspace import check_out, check_site_names

JOB = "evaluation"
EVALUATION = shipped("jobs", JOB)


def measure(
    settings: Evaluation,
    folders: Mapping[str, Path],
    models: Mapping[str, Checkpoint],
    out: Path,
    *,
    simulator: bool = True,
    job: Path = EVALUATION,
    threads: int = 1,
    device: str = "cpu",
    on_event: Listener = lambda event: None,
) -> dict[str, Any]:
    """Measure models with all hospitals on this machine.

    Args:
        settings: the job; each model is taken for a job of its own, whose id is its name.
        folders: data folder of every hospital, by its name.
        models: of `read_models`.
        out: folder for `report.json` and `report.html`.
        simulator: run the FLARE job in the simulator; else in this process, with the same figures.
        job: FLARE job folder to run with these settings.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`.

    Raises:
        FedefmError: data, models or settings cannot be used, or the run failed. Then `out` holds a log at most.
    """
    check_site_names(folders)
    check_out(out, (JSON_NAME, RECORD_FILE))
    if simulator:
        check_models(models, settings)
        places = {f"{name}/{name}{SUFFIX}": model.file for name, model in models.items()}
        run = Simulated(job, SETTINGS_FILE, settings.to_dict(), places, folders, threads, device, settings.least_images)
        with run_simulated(run, out, on_event) as (found, _):
            record = found
    else:
        record = evaluate_in_process(settings, folders, models, on_event, device=device)
    record = record | {"versions": versions()}
    write_page(record, render_evaluation(record), out)
    return record
