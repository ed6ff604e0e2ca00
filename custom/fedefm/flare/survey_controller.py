"""The server's workflow of a data report: `fedefm.survey.rounds` over FLARE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import write_record
from fedefm.flare.transport import FlareTransport
from fedefm.survey.rounds import survey
from fedefm.survey.settings import SETTINGS_FILE, Survey, load_survey


class SurveyController(JobController):
    """Asks all connected hospitals for their summaries, then publishes a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE, task_check_period: float = 0.1):
        super().__init__(settings_file, task_check_period)

    def load(self, path: Path) -> Survey:
        """`data_report.json`."""
        return load_survey(path)

    def work(self, settings: Survey, sites: list[str], transport: FlareTransport, fl_ctx: FLContext) -> dict[str, Any]:
        """The record."""
        return survey(settings, sites, transport, lambda event: self.tell(event, fl_ctx))

    def publish(self, settings: Survey, done: dict[str, Any], fl_ctx: FLContext) -> None:
        """The record alone: a data report makes no weights."""
        write_record(fl_ctx, done)
