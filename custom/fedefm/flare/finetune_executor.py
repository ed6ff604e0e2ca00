"""A hospital's side of a fine-tune job over FLARE: hands each task to `fedefm.finetune.tuner`."""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_context import FLContext

from fedefm.finetune.settings import SETTINGS_FILE, load_finetune
from fedefm.finetune.tuner import Tuner
from fedefm.flare.foundation_executor import HospitalExecutor
from fedefm.flare.job_files import output_folder, settings_path, site_folder
from fedefm.flare.site_config import SiteConfig, load_site_config


class FineTuneExecutor(HospitalExecutor):
    """Works on one task at a time with the site's own data.

    A hospital that tunes alone keeps its weights in its run folder.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def _open(self, fl_ctx: FLContext) -> tuple[Any, SiteConfig]:
        name = fl_ctx.get_identity_name()
        config = load_site_config(site_folder(fl_ctx), name)
        settings = load_finetune(settings_path(fl_ctx, self._settings_file))
        keep = output_folder(fl_ctx)
        return Tuner(name, config.data, settings, device=config.device, threads=config.threads, keep=keep), config
