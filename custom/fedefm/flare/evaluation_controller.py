"""The server's workflow of an evaluation job: `fedefm.evaluation.rounds` over FLARE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

from fedefm.evaluation.models import find_models, read_models
from fedefm.evaluation.rounds import evaluate
from fedefm.evaluation.settings import SETTINGS_FILE, Evaluation, load_evaluation
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import write_record
from fedefm.flare.server_config import consortium_root, model_limits, models_folder
from fedefm.flare.transport import FlareTransport


class EvaluationController(JobController):
    """Measures every model of the named jobs at all connected hospitals, then publishes a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE, task_check_period: float = 0.1):
        super().__init__(settings_file, task_check_period)

    def load(self, path: Path) -> Evaluation:
        """`evaluation.json`."""
        return load_evaluation(path)

    def work(
        self, settings: Evaluation, sites: list[str], transport: FlareTransport, fl_ctx: FLContext
    ) -> dict[str, Any]:
        """Model after model; the record."""
        root, limits = consortium_root(fl_ctx), model_limits(fl_ctx)
        models = read_models(find_models(models_folder(fl_ctx), settings.models, root, limits))
        return evaluate(settings, sites, models, transport, lambda event: self.tell(event, fl_ctx))

    def publish(self, settings: Evaluation, done: dict[str, Any], fl_ctx: FLContext) -> None:
        """The record alone: an evaluation makes no weights."""
        write_record(fl_ctx, done)
