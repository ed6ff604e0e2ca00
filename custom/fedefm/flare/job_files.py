"""Where a job's own files lie at the server and at a site."""

from __future__ import annotations

from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.errors import ConfigError
from fedefm.foundation.settings import Settings, load_settings

SETTINGS_FILE = "foundation.json"
OUTPUT = "foundation"


def app_config_folder(fl_ctx: FLContext) -> Path:
    """The deployed app's `config` folder."""
    return Path(fl_ctx.get_workspace().get_app_config_dir(fl_ctx.get_job_id()))


def read_settings(fl_ctx: FLContext, name: str) -> Settings:
    """The job's settings, from the file beside its FLARE configuration.

    Raises:
        ConfigError: `name` is no plain file name, or the file is missing or wrong.
    """
    return load_settings(settings_path(fl_ctx, name))


def settings_path(fl_ctx: FLContext, name: str) -> Path:
    """A job's settings file beside its FLARE configuration.

    Raises:
        ConfigError: `name` is no plain file name.
    """
    if Path(name).name != name:
        raise ConfigError(f"settings file '{name[:80]}': give a plain name of a file in the app's config folder")
    return app_config_folder(fl_ctx) / name


def output_folder(fl_ctx: FLContext) -> Path:
    """Where the server leaves a run's results; inside the run folder, so that `nvflare job download` brings it."""
    return Path(fl_ctx.get_workspace().get_run_dir(fl_ctx.get_job_id())) / OUTPUT


def site_folder(fl_ctx: FLContext) -> Path:
    """The site's `local` folder."""
    return Path(fl_ctx.get_workspace().get_site_config_dir())
