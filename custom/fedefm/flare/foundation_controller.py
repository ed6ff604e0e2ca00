"""The server's workflow: the exchange of `fedefm.exchange.coordinator` over FLARE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.fuel.utils.memory_utils import cleanup_memory

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event
from fedefm.exchange.record import RECORD_FILE, Recorder
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import resolve
from fedefm.files import write_json
from fedefm.flare.envelope import Weights, register_decomposers
from fedefm.flare.job_files import SETTINGS_FILE, app_config_folder, output_folder, read_settings
from fedefm.flare.persistor import PATH
from fedefm.flare.progress import FAILED, FINISHED, to_line, to_text
from fedefm.flare.transport import FlareTransport
from fedefm.foundation.record import build_record
from fedefm.foundation.settings import Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import THETA_FILE
from fedefm.training.ops import TensorOps

Files = dict[str, dict[str, str]]


class FoundationController(Controller):
    """Runs the job of a settings file over all connected hospitals, then publishes Theta, every theta_i and a record.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        persistor_id: component that makes the start weights and saves models.
        task_check_period: seconds between FLARE's own looks at its tasks.
    """

    def __init__(
        self, settings_file: str = SETTINGS_FILE, persistor_id: str = "persistor", task_check_period: float = 0.1
    ):
        super().__init__(task_check_period)
        self._settings_file = settings_file
        self._persistor_id = persistor_id

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Get ready to carry tensors."""
        register_decomposers()

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing stays open."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the job; what stops it is told in one line and ends the job as failed."""
        try:
            self._run(abort_signal, fl_ctx)
        except Exception as error:
            self._fail(error, abort_signal, fl_ctx)

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Refuse what arrives after its task was given up."""
        self.log_warning(fl_ctx, f"{client.name}: a late {task_name} result is refused", fire_event=False)

    def _run(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        settings = read_settings(fl_ctx, self._settings_file)
        persistor = self._persistor(fl_ctx)
        initial = persistor.load(fl_ctx)[ModelLearnableKey.WEIGHTS]
        recorder = Recorder(settings.classes)
        coordinator = Coordinator(
            settings.schedule,
            resolve(settings.topology, connected_sites(fl_ctx), app_config_folder(fl_ctx)),
            settings.classes,
            FlareTransport(self, fl_ctx, abort_signal, float(settings.stage_timeout)),
            TensorOps(initial),
            lambda event: self._tell(event, recorder, fl_ctx),
            commit=lambda state: cleanup_memory(),
        )
        state = coordinator.run(initial)
        if not abort_signal.triggered:
            self._publish(settings, state, recorder.figures(), persistor, fl_ctx)

    def _tell(self, event: Event, recorder: Recorder, fl_ctx: FLContext) -> None:
        recorder(event)
        self.log_info(fl_ctx, to_text(event), fire_event=False)
        self.log_info(fl_ctx, to_line(event), fire_event=False)

    def _publish(
        self,
        settings: Settings,
        state: RoundState[Weights],
        figures: dict[str, Any],
        persistor: ModelPersistor,
        fl_ctx: FLContext,
    ) -> None:
        """Every theta_i, then the record, and Theta last: where Theta is, all else is."""
        files = model_files(state)
        for site in sorted(state.trained):
            persistor.save(make_model_learnable(state.silos[site], {PATH: files[site]["path"]}), fl_ctx)
        write_record(output_folder(fl_ctx) / RECORD_FILE, build_record(settings, figures, files))
        if state.theta is not None:
            persistor.save(make_model_learnable(state.theta, {PATH: THETA_FILE}), fl_ctx)
        self.log_info(fl_ctx, FINISHED + json.dumps({"folder": str(output_folder(fl_ctx))}), fire_event=False)

    def _persistor(self, fl_ctx: FLContext) -> ModelPersistor:
        persistor = fl_ctx.get_engine().get_component(self._persistor_id)
        if not isinstance(persistor, ModelPersistor):
            raise ConfigError(f"server config: component '{self._persistor_id}' is no model persistor; add one")
        return persistor

    def _fail(self, error: Exception, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """End the job as failed; nothing is published."""
        kind = type(error).__name__ if isinstance(error, FedefmError) else "FedefmError"
        message = str(error) if isinstance(error, FedefmError) else f"internal error ({type(error).__name__}: {error})"
        if not isinstance(error, FedefmError):
            self.log_exception(fl_ctx, message, fire_event=False)
        self.log_error(fl_ctx, FAILED + json.dumps({"kind": kind, "message": message}), fire_event=False)
        if not abort_signal.triggered:
            self.system_panic(message, fl_ctx)


def connected_sites(fl_ctx: FLContext) -> list[str]:
    """The job's hospitals by the names that the server itself gave their connections, sorted."""
    return sorted(client.name for client in fl_ctx.get_engine().get_clients())


def model_files(state: RoundState[Weights]) -> Files:
    """Path (relative to the output folder) and hash of every model that the run leaves."""
    files = {
        site: {"path": f"models/{site}.safetensors", "sha256": weights_sha256(state.silos[site])}
        for site in sorted(state.trained)
    }
    if state.theta is not None:
        files["theta"] = {"path": THETA_FILE, "sha256": weights_sha256(state.theta)}
    return files


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record whole, or not at all."""
    write_json(path, record)
