"""Weights of a run on the server's disk, as safetensors."""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fedefm.flare.job_files import output_folder, settings_path
from fedefm.flare.server_config import server_theta
from fedefm.foundation.initial import start_weights
from fedefm.foundation.settings import SETTINGS_FILE, load_settings
from fedefm.models.checkpoint import load_weights, save_weights

PATH, SHA256 = "path", "sha256"


class SafetensorsPersistor(ModelPersistor):
    """Saves models under the run's `foundation` folder and makes the start weights of a job.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__()
        self._settings_file = settings_file

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Start weights: those of the Theta that the job names, with its fingerprint, or those of the seed.

        Raises:
            TrustError: the Theta is not signed where it must be. CheckpointError: it is missing or does not fit.
        """
        settings = load_settings(settings_path(fl_ctx, self._settings_file))
        theta = server_theta(settings.start, fl_ctx)
        meta = {} if theta is None else {SHA256: theta.sha256}
        return make_model_learnable(start_weights(settings, theta), meta)

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Save weights under the path in their meta properties, by rename."""
        settings = load_settings(settings_path(fl_ctx, self._settings_file))
        save_weights(
            output_folder(fl_ctx) / model[ModelLearnableKey.META][PATH],
            model[ModelLearnableKey.WEIGHTS],
            spec=settings.model,
            classes=settings.classes,
            size=settings.size,
        )

    def get_model(self, model_file: str, fl_ctx: FLContext) -> ModelLearnable:
        """Read a saved model back.

        Raises:
            CheckpointError: missing, damaged or of another architecture.
        """
        settings = load_settings(settings_path(fl_ctx, self._settings_file))
        found = load_weights(output_folder(fl_ctx) / model_file, spec=settings.model)
        return make_model_learnable(found.weights, {PATH: model_file})
