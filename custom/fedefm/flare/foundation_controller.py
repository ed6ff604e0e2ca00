"""The server's workflow of a foundation job: the rounds of `fedefm.exchange.coordinator` over FLARE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.fuel.utils.memory_utils import cleanup_memory

from fedefm.errors import ConfigError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event
from fedefm.exchange.record import Recorder
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import resolve
from fedefm.flare.envelope import Weights
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_files import app_config_folder, write_record
from fedefm.flare.persistor import PATH
from fedefm.flare.transport import FlareTransport
from fedefm.foundation.doubting import doubting_ops
from fedefm.foundation.record import build_record
from fedefm.foundation.settings import SETTINGS_FILE, Settings, load_settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import THETA_FILE


@dataclass(frozen=True)
class Trained:
    """What a foundation job has when its rounds are over.

    Attributes:
        state: Theta and every theta_i.
        figures: what the recorder collected.
    """

    state: RoundState[Weights]
    figures: dict[str, Any]


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
        """All rounds."""
        initial = self._persistor(fl_ctx).load(fl_ctx)[ModelLearnableKey.WEIGHTS]
        recorder = Recorder(settings.classes)

        def listen(event: Event) -> None:
            recorder(event)
            self.tell(event, fl_ctx)

        coordinator = Coordinator(
            settings.schedule,
            settings.rules,
            resolve(settings.topology, sites, app_config_folder(fl_ctx)),
            settings.classes,
            transport,
            doubting_ops(settings, initial),
            listen,
            commit=lambda state: cleanup_memory(),
        )
        return Trained(coordinator.run(initial), recorder.figures())

    def publish(self, settings: Settings, done: Trained, fl_ctx: FLContext) -> None:
        """Every theta_i, then the record, and Theta last: where Theta is, all else is."""
        state, persistor, files = done.state, self._persistor(fl_ctx), model_files(done.state)
        for site in sorted(state.trained):
            persistor.save(make_model_learnable(state.silos[site], {PATH: files[site]["path"]}), fl_ctx)
        write_record(fl_ctx, build_record(settings, done.figures, files))
        if state.theta is not None:
            persistor.save(make_model_learnable(state.theta, {PATH: THETA_FILE}), fl_ctx)

    def _persistor(self, fl_ctx: FLContext) -> ModelPersistor:
        persistor = fl_ctx.get_engine().get_component(self._persistor_id)
        if not isinstance(persistor, ModelPersistor):
            raise ConfigError(f"server config: component '{self._persistor_id}' is no model persistor; add one")
        return persistor


def model_files(state: RoundState[Weights]) -> dict[str, dict[str, str]]:
    """Path (relative to the output folder) and hash of every model that the run leaves."""
    files = {
        site: {"path": f"models/{site}.safetensors", "sha256": weights_sha256(state.silos[site])}
        for site in sorted(state.trained)
    }
    if state.theta is not None:
        files["theta"] = {"path": THETA_FILE, "sha256": weights_sha256(state.theta)}
    return files
