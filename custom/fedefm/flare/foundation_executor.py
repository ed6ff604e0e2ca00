"""A hospital's side of a foundation job over FLARE: hands each task to `fedefm.foundation.hospital`."""

from __future__ import annotations

from pathlib import Path

from fedefm.flare.job_executor import JobExecutor
from fedefm.flare.site_config import SiteConfig
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import SETTINGS_FILE, load_settings


class FoundationExecutor(JobExecutor):
    """Trains the site's own silo, hosts the experts of others, and is taught by what comes back.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__(settings_file)

    def open_site(self, name: str, config: SiteConfig, settings: Path, output: Path) -> Hospital:
        """A hospital; it leaves no file of its own."""
        return Hospital(name, config.data, load_settings(settings), **config.options)
