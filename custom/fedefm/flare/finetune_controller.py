"""The server's workflow of a fine-tune job: `fedefm.finetune.rounds` over FLARE."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal

from fedefm.exchange.events import Event
from fedefm.exchange.record import RECORD_FILE
from fedefm.finetune.record import build_record
from fedefm.finetune.rounds import tune
from fedefm.finetune.rounds_kept import FOLDER
from fedefm.finetune.settings import SETTINGS_FILE, FineTune, load_finetune
from fedefm.finetune.weights import find_theta, publish, read_theta, start_weights
from fedefm.flare.foundation_controller import FoundationController, connected_sites, write_record
from fedefm.flare.job_files import output_folder, settings_path
from fedefm.flare.progress import FINISHED, to_line, to_text
from fedefm.flare.server_config import consortium_root, models_folder
from fedefm.flare.transport import FlareTransport
from fedefm.models.checkpoint import Checkpoint


class FineTuneController(FoundationController):
    """Runs a fine-tune job over all connected hospitals, then publishes the weights and a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE, task_check_period: float = 0.1):
        super().__init__(settings_file, task_check_period=task_check_period)

    def _run(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        settings = load_finetune(settings_path(fl_ctx, self._settings_file))
        theta = server_theta(settings, fl_ctx)
        start = start_weights(theta, settings)
        transport = FlareTransport(self, fl_ctx, abort_signal, float(settings.stage_timeout))
        sites, keep = connected_sites(fl_ctx), rounds_folder(settings, fl_ctx)
        tuned = tune(settings, sites, start, transport, lambda event: log_event(self, event, fl_ctx), keep)
        if abort_signal.triggered:
            return
        out = output_folder(fl_ctx)
        source = None if theta is None else {"id": settings.theta, "sha256": theta.sha256}
        model = publish(settings, tuned.weights, out)
        write_record(out / RECORD_FILE, build_record(settings, {"theta": source, **tuned.figures}, model))
        self.log_info(fl_ctx, FINISHED + json.dumps({"folder": str(out)}), fire_event=False)


def server_theta(settings: FineTune, fl_ctx: FLContext) -> Checkpoint | None:
    """The Theta that a job names, from the server's own folder; signed wherever the server has a consortium's root."""
    if not settings.theta:
        return None
    path = find_theta(models_folder(fl_ctx), settings.theta)
    return read_theta(path, consortium_root(fl_ctx), settings.theta)


def rounds_folder(settings: FineTune, fl_ctx: FLContext) -> Path | None:
    """Where rounds are kept for the same job submitted again: with the models; None where nothing may be written."""
    if not settings.theta or not os.access(models_folder(fl_ctx), os.W_OK):
        return None
    return models_folder(fl_ctx) / FOLDER


def log_event(controller: Controller, event: Event, fl_ctx: FLContext) -> None:
    """Tell an event in the log, for readers and for whoever follows the process."""
    controller.log_info(fl_ctx, to_text(event), fire_event=False)
    controller.log_info(fl_ctx, to_line(event), fire_event=False)
