"""A data report on one machine: runs the job, and leaves a report with its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.exchange.record import RECORD_FILE
from fedefm.foundation.record import versions
from fedefm.report.survey import render_survey
from fedefm.report.write import JSON_NAME, write_page
from fedefm.resources import shipped
from fedefm.simulation.job import Simulated, run_simulated
from fedefm.simulation.workspace import check_out, check_site_names
from fedefm.survey.rounds import survey_in_process
from fedefm.survey.settings import SETTINGS_FILE, Survey

JOB = "data_report"
SURVEY = shipped("jobs", JOB)


def report_data(
    settings: Survey,
    folders: Mapping[str, Path],
    out: Path,
    *,
    simulator: bool = True,
    job: Path = SURVEY,
    on_event: Listener = lambda event: None,
) -> dict[str, Any]:
    """Gather the summaries of all hospitals on this machine.

    Args:
        settings: the job.
        folders: data folder of every hospital, by its name.
        out: folder for `report.json` and `report.html`.
        simulator: run the FLARE job in the simulator; else in this process, with the same figures.
        job: FLARE job folder to run with these settings.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`.

    Raises:
        FedefmError: the settings cannot be used, or too few hospitals could answer. Then `out` holds a log at most.
    """
    check_site_names(folders)
    check_out(out, (JSON_NAME, RECORD_FILE))
    if simulator:
        run = Simulated(job, SETTINGS_FILE, settings.to_dict(), {}, folders, least_images=settings.least_images)
        with run_simulated(run, out, on_event) as (found, _):
            record = found
    else:
        record = survey_in_process(settings, folders, on_event)
    record = record | {"versions": versions()}
    write_page(record, render_survey(record), out)
    return record
