"""The server's workflow of a foundation job: the rounds of `fedefm.exchange.coordinator` over FLARE."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.fuel.utils.memory_utils import cleanup_memory

from fedefm.errors import ConfigError
from fedefm.exchange.state import RoundState
from fedefm.flare.envelope import Weights
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import app_config_folder, write_record
from fedefm.flare.persistor import PATH, SHA256
from fedefm.flare.server_config import publishes_for_good, rounds_folder
from fedefm.flare.transport import FlareTransport
from fedefm.foundation.kept import RunKept
from fedefm.foundation.record import build_record
from fedefm.foundation.run import FoundationRun, train
from fedefm.foundation.settings import SETTINGS_FILE, Settings, load_settings
from fedefm.maths.fingerprint import FINGERPRINTS
from fedefm.models.checkpoint import THETA_FILE

NOTHING_KEPT = "no round of this job is kept: local/fedefm_server.json names no folder that the server may write to"


@dataclass(frozen=True)
class Trained:
    """What a foundation job has when its rounds are over.

    Attributes:
        run: its state and figures.
        kept: its rounds; None where none are kept.
    """

    run: FoundationRun
    kept: RunKept | None


class FoundationController(JobController):
    """Trains a foundation model over all connected hospitals, then publishes Theta, every theta_i and a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        persistor_id: component that makes the start weights and saves models.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(
        self, settings_file: str = SETTINGS_FILE, persistor_id: str = "persistor", task_check_period: float = 0.1
    ):
        super().__init__(settings_file, task_check_period)
        self._persistor_id = persistor_id

    def load(self, path: Path) -> Settings:
        """`foundation.json`."""
        return load_settings(path)

    def work(self, settings: Settings, sites: list[str], transport: FlareTransport, fl_ctx: FLContext) -> Trained:
        """All rounds that are left; whatever was kept of the same job counts."""
        start = self._persistor(fl_ctx).load(fl_ctx)
        named = replace(settings, start_sha256=start[ModelLearnableKey.META].get(SHA256, settings.start_sha256))
        folder, beside = rounds_folder(fl_ctx), app_config_folder(fl_ctx)
        if folder is None:
            self.log_warning(fl_ctx, NOTHING_KEPT, fire_event=False)
        kept = None if folder is None else RunKept(folder, named, beside / settings.topology)
        run = train(
            named,
            sites,
            start.pop(ModelLearnableKey.WEIGHTS),  # the run puts them on its shelf, and nobody else holds them
            transport,
            lambda event: self.tell(event, fl_ctx),
            beside=beside,
            kept=kept,
            tidy=cleanup_memory,
            shelf=self.shelf,
        )
        return Trained(run, kept)

    def publish(self, settings: Settings, done: Trained, fl_ctx: FLContext) -> None:
        """Every theta_i, then the record, and Theta last: where Theta is, all else is. Then no round need be kept."""
        state, persistor, files = done.run.state, self._persistor(fl_ctx), model_files(done.run.state)
        for site in sorted(state.trained):
            persistor.save(make_model_learnable(state.silos[site], {PATH: files[site]["path"]}), fl_ctx)
        write_record(fl_ctx, build_record(done.run.settings, done.run.figures, files))
        if state.theta is not None:
            persistor.save(make_model_learnable(state.theta, {PATH: THETA_FILE}), fl_ctx)
        if done.kept is not None and publishes_for_good(fl_ctx):
            done.kept.remove()

    def _persistor(self, fl_ctx: FLContext) -> ModelPersistor:
        persistor = fl_ctx.get_engine().get_component(self._persistor_id)
        if not isinstance(persistor, ModelPersistor):
            raise ConfigError(f"server config: component '{self._persistor_id}' is no model persistor; add one")
        return persistor


def model_files(state: RoundState[Weights]) -> dict[str, dict[str, str]]:
    """Path (relative to the output folder) and hash of every model that the run leaves."""
    files = {
        site: {"path": f"models/{site}.safetensors", "sha256": FINGERPRINTS.of(state.silos[site])}
        for site in sorted(state.trained)
    }
    if state.theta is not None:
        files["theta"] = {"path": THETA_FILE, "sha256": FINGERPRINTS.of(state.theta)}
    return files
