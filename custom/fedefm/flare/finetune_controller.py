"""The server's workflow of a fine-tune job: `fedefm.finetune.rounds` over FLARE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.finetune.record import build_record
from fedefm.finetune.rounds import Tuned, tune
from fedefm.finetune.rounds_kept import RoundsKept
from fedefm.finetune.settings import SETTINGS_FILE, FineTune, load_finetune
from fedefm.finetune.weights import publish as publish_weights
from fedefm.finetune.weights import start_weights, with_theta_named
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import output_folder, write_record
from fedefm.flare.server_config import publishes_for_good, rounds_folder, server_theta
from fedefm.flare.transport import FlareTransport


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tune job has when its rounds are over.

    Attributes:
        theta: SHA-256 of what it started from; None where it started from random weights.
        tuned: weights and figures.
        kept: its rounds; None where none are kept.
    """

    theta: str | None
    tuned: Tuned
    kept: RoundsKept | None


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
        theta, folder = server_theta(settings.theta, fl_ctx), rounds_folder(fl_ctx)
        start, named = start_weights(theta, settings), with_theta_named(settings, theta)
        kept = RoundsKept(folder, named, sites) if folder is not None and settings.federated else None
        tuned = tune(named, sites, start, transport, lambda event: self.tell(event, fl_ctx), kept)
        return FineTuned(None if theta is None else theta.sha256, tuned, kept)

    def publish(self, settings: FineTune, done: FineTuned, fl_ctx: FLContext) -> None:
        """The weights, unless each hospital keeps its own, then the record; only then no kept round is needed."""
        source = None if done.theta is None else {"id": settings.theta, "sha256": done.theta}
        model = publish_weights(settings, done.tuned.weights, output_folder(fl_ctx))
        write_record(fl_ctx, build_record(settings, {"theta": source, **done.tuned.figures}, model))
        if done.kept is not None and publishes_for_good(fl_ctx):
            done.kept.remove()
