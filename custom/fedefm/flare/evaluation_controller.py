"""The server's workflow of an evaluation job: `fedefm.evaluation.rounds` over FLARE."""

from __future__ import annotations

import json

from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal

from fedefm.evaluation.models import find_models, read_models
from fedefm.evaluation.rounds import evaluate
from fedefm.evaluation.settings import SETTINGS_FILE, load_evaluation
from fedefm.exchange.record import RECORD_FILE
from fedefm.flare.finetune_controller import log_event
from fedefm.flare.foundation_controller import FoundationController, connected_sites, write_record
from fedefm.flare.job_files import output_folder, settings_path
from fedefm.flare.progress import FINISHED
from fedefm.flare.server_config import consortium_root, models_folder
from fedefm.flare.transport import FlareTransport


class EvaluationController(FoundationController):
    """Measures every model of the named jobs at all connected hospitals, then publishes a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE, task_check_period: float = 0.1):
        super().__init__(settings_file, task_check_period=task_check_period)

    def _run(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        settings = load_evaluation(settings_path(fl_ctx, self._settings_file))
        models = read_models(find_models(models_folder(fl_ctx), settings.models, consortium_root(fl_ctx)))
        transport = FlareTransport(self, fl_ctx, abort_signal, float(settings.stage_timeout))
        sites = connected_sites(fl_ctx)
        record = evaluate(settings, sites, models, transport, lambda event: log_event(self, event, fl_ctx))
        if abort_signal.triggered:
            return
        out = output_folder(fl_ctx)
        write_record(out / RECORD_FILE, record)
        self.log_info(fl_ctx, FINISHED + json.dumps({"folder": str(out)}), fire_event=False)
