"""A hospital's side of a fine-tune job over FLARE: hands each task to `fedefm.finetune.tuner`."""

from __future__ import annotations

from pathlib import Path

from fedefm.finetune.settings import SETTINGS_FILE, load_finetune
from fedefm.finetune.tuner import Tuner
from fedefm.flare.job_executor import JobExecutor
from fedefm.flare.site_config import SiteConfig


class FineTuneExecutor(JobExecutor):
    """Tunes and validates on the site's own data.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def open_site(self, name: str, config: SiteConfig, settings: Path, output: Path) -> Tuner:
        """A tuner; a hospital that tunes alone keeps its weights in `output`."""
        return Tuner(name, config.data, load_finetune(settings), keep=output, **config.options)
