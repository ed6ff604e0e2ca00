"""A hospital's side of a data report over FLARE: hands its task to `fedefm.survey.describer`."""

from __future__ import annotations

from pathlib import Path

from fedefm.flare.job_executor import JobExecutor
from fedefm.flare.site_config import SiteConfig
from fedefm.survey.describer import Describer
from fedefm.survey.settings import SETTINGS_FILE, load_survey


class SurveyExecutor(JobExecutor):
    """Sums up the site's own folder.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def open_site(self, name: str, config: SiteConfig, settings: Path, output: Path) -> Describer:
        """A describer; the site's `least_images` and `compare_pictures` hold against any job."""
        compares = config.compare_pictures
        return Describer(name, config.data, load_survey(settings), compares=compares, **config.options)
