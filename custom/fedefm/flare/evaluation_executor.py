"""A hospital's side of an evaluation job over FLARE: hands each task to `fedefm.evaluation.measurer`."""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_context import FLContext

from fedefm.evaluation.measurer import Measurer
from fedefm.evaluation.settings import SETTINGS_FILE, load_evaluation
from fedefm.flare.foundation_executor import HospitalExecutor
from fedefm.flare.job_files import settings_path, site_folder
from fedefm.flare.site_config import SiteConfig, load_site_config


class EvaluationExecutor(HospitalExecutor):
    """Works on one task at a time with the site's own data; the site's `least_images` holds against any job.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def _open(self, fl_ctx: FLContext) -> tuple[Any, SiteConfig]:
        name = fl_ctx.get_identity_name()
        config = load_site_config(site_folder(fl_ctx), name)
        settings = load_evaluation(settings_path(fl_ctx, self._settings_file))
        return (
            Measurer(
                name, config.data, settings, device=config.device, threads=config.threads, least=config.least_images
            ),
            config,
        )
