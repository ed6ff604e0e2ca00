"""Weights of a run on the server's disk, as safetensors."""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fedefm.flare.job_files import output_folder, settings_path
from fedefm.foundation.settings import SETTINGS_FILE, load_settings
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights, save_weights

PATH = "path"


class SafetensorsPersistor(ModelPersistor):
    """Saves models under the run's `foundation` folder and makes the start weights of a job.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__()
        self._settings_file = settings_file

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Start weights: the same seed gives the same bytes."""
        settings = load_settings(settings_path(fl_ctx, self._settings_file))
        classes = len(settings.classes) + 1
        weights = initial_weights(settings.model, classes, settings.size, settings.schedule.seed)
        return make_model_learnable(weights, {})

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
