"""Where a job's own files lie at the server and at a site, and how its record is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

from fedefm.errors import ConfigError
from fedefm.exchange.record import RECORD_FILE
from fedefm.files import write_json
from fedefm.models.stored import HELD
from fedefm.training.weights_store import FOLDER

OUTPUT = "foundation"
DOWNLOADED = Path("workspace") / OUTPUT
"""The same in the folder that `nvflare job download` brings of a job."""


def app_config_folder(fl_ctx: FLContext) -> Path:
    """The deployed app's `config` folder."""
    return Path(fl_ctx.get_workspace().get_app_config_dir(fl_ctx.get_job_id()))


def settings_path(fl_ctx: FLContext, name: str) -> Path:
    """A job's settings file beside its FLARE configuration.

    Raises:
        ConfigError: `name` is no plain file name.
    """
    if Path(name).name != name:
        raise ConfigError(f"settings file '{name[:80]}': give a plain name of a file in the app's config folder")
    return app_config_folder(fl_ctx) / name


def run_folder(fl_ctx: FLContext) -> Path:
    """The folder of a job's run; `nvflare job download` brings the server's."""
    return Path(fl_ctx.get_workspace().get_run_dir(fl_ctx.get_job_id()))


def output_folder(fl_ctx: FLContext) -> Path:
    """Where the server leaves a run's results."""
    return run_folder(fl_ctx) / OUTPUT


def seen_weights_folder(fl_ctx: FLContext) -> Path:
    """Where a hospital keeps the weights that it has seen in a job, until the job is over."""
    return run_folder(fl_ctx) / FOLDER


def held_weights_folder(fl_ctx: FLContext) -> Path:
    """Where the server puts the weights that it holds, until the job is over."""
    return run_folder(fl_ctx) / HELD


def site_folder(fl_ctx: FLContext) -> Path:
    """The site's `local` folder."""
    return Path(fl_ctx.get_workspace().get_site_config_dir())


def write_record(fl_ctx: FLContext, record: Mapping[str, Any]) -> None:
    """Write a run's record into its output folder, whole or not at all.

    Raises:
        ValueError: it holds a value that JSON cannot hold, such as NaN.
        ConfigError: the folder cannot be written.
    """
    write_json(output_folder(fl_ctx) / RECORD_FILE, record)
