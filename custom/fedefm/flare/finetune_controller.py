"""The server's workflow of a fine-tune job: `fedefm.finetune.rounds` over FLARE."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.finetune.record import build_record
from fedefm.finetune.rounds import Tuned, tune
from fedefm.finetune.rounds_kept import FOLDER, RoundsKept
from fedefm.finetune.settings import SETTINGS_FILE, FineTune, load_finetune
from fedefm.finetune.weights import find_theta, read_theta, start_weights, with_theta_named
from fedefm.finetune.weights import publish as publish_weights
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import output_folder, write_record
from fedefm.flare.server_config import consortium_root, model_limits, models_folder
from fedefm.flare.transport import FlareTransport
from fedefm.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tune job has when its rounds are over.

    Attributes:
        theta: SHA-256 of what it started from; None where it started from random weights.
        tuned: weights and figures.
        kept: its rounds on the server's disk, which go when the result is published.
    """

    theta: str | None
    tuned: Tuned
    kept: RoundsKept


class FineTuneController(JobController):
    """Fine-tunes over all connected hospitals, then publishes the weights and a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE, task_check_period: float = 0.1):
        super().__init__(settings_file, task_check_period)

    def load(self, path: Path) -> FineTune:
        """`finetune.json`."""
        return load_finetune(path)

    def work(self, settings: FineTune, sites: list[str], transport: FlareTransport, fl_ctx: FLContext) -> FineTuned:
        """All rounds, from the Theta that the job names."""
        theta = server_theta(settings, fl_ctx)
        start, keep = start_weights(theta, settings), rounds_folder(settings, fl_ctx)
        named = with_theta_named(settings, theta)
        tuned = tune(named, sites, start, transport, lambda event: self.tell(event, fl_ctx), keep)
        return FineTuned(None if theta is None else theta.sha256, tuned, RoundsKept(keep, named, sites))

    def publish(self, settings: FineTune, done: FineTuned, fl_ctx: FLContext) -> None:
        """The weights, unless each hospital keeps its own, then the record; only then no kept round is needed."""
        source = None if done.theta is None else {"id": settings.theta, "sha256": done.theta}
        model = publish_weights(settings, done.tuned.weights, output_folder(fl_ctx))
        write_record(fl_ctx, build_record(settings, {"theta": source, **done.tuned.figures}, model))
        done.kept.remove()


def server_theta(settings: FineTune, fl_ctx: FLContext) -> Checkpoint | None:
    """The Theta that a job names, from the server's own folder; signed wherever the server has a consortium's root."""
    if not settings.theta:
        return None
    path = find_theta(models_folder(fl_ctx), settings.theta)
    return read_theta(path, consortium_root(fl_ctx), settings.theta, model_limits(fl_ctx))


def rounds_folder(settings: FineTune, fl_ctx: FLContext) -> Path | None:
    """Where rounds are kept for the same job submitted again: with the models; None where nothing may be written."""
    if not settings.theta or not os.access(models_folder(fl_ctx), os.W_OK):
        return None
    return models_folder(fl_ctx) / FOLDER
