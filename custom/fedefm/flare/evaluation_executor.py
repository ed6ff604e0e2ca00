"""A hospital's side of an evaluation job over FLARE: hands each task to `fedefm.evaluation.measurer`."""

from __future__ import annotations

from pathlib import Path

from fedefm.evaluation.measurer import Measurer
from fedefm.evaluation.settings import SETTINGS_FILE, load_evaluation
from fedefm.flare.job_executor import JobExecutor
from fedefm.flare.site_config import SiteConfig


class EvaluationExecutor(JobExecutor):
    """Measures models on the site's own test images.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def open_site(self, name: str, config: SiteConfig, settings: Path, output: Path) -> Measurer:
        """A measurer; the site's `least_images` holds against any job."""
        return Measurer(name, config.data, load_evaluation(settings), **config.options)
