"""What the server decides for itself: where the models lie that jobs start from, and where rounds are kept."""

from __future__ import annotations

import os
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.errors import ConfigError
from fedefm.flare.job_files import site_folder
from fedefm.kits.limits import read_limits
from fedefm.models.checkpoint import Checkpoint
from fedefm.settings import load, settings_class
from fedefm.training.kept import FOLDER
from fedefm.training.theta import find_theta, read_theta
from fedefm.trust.kinds import MODEL, Limits

FILE = "fedefm_server.json"
ROOT = Path("startup") / "rootCA.pem"


@settings_class
class ServerConfig:
    """The file `local/fedefm_server.json` of a server; a job can change none of it.

    Attributes:
        models: the folder of models; absolute, or relative to the file.
        rounds: the folder in which rounds of jobs are kept until they are done; likewise. By default `.rounds` in the
            folder of models.
    """

    models: Path
    rounds: Path | None = None


def models_folder(fl_ctx: FLContext) -> Path:
    """The folder of models, from `local/fedefm_server.json`; absolute, or relative to that file.

    Raises:
        ConfigError: no such file, not JSON, without `models`, or with an unknown key.
    """
    path = site_folder(fl_ctx) / FILE
    if not path.is_file():
        raise ConfigError(f'{path}: no such file; write it as {{"models": "/path/to/the/models"}}')
    return path.parent / load(ServerConfig, path).models


def model_limits(fl_ctx: FLContext) -> Limits:
    """How much a signed folder of models may hold, by the server's signed policy."""
    return read_limits(site_folder(fl_ctx))[MODEL.name]


def rounds_folder(fl_ctx: FLContext) -> Path | None:
    """Where rounds are kept for the same job submitted again; None where the server says of no place to write to.

    Raises:
        ConfigError: `local/fedefm_server.json` is there and wrong, or names a folder that cannot be made.
    """
    path = site_folder(fl_ctx) / FILE
    if not path.is_file():
        return None
    config = load(ServerConfig, path)
    if config.rounds is not None:
        return path.parent / config.rounds
    models = path.parent / config.models
    return models / FOLDER if os.access(models, os.W_OK) else None


def server_theta(job: str, fl_ctx: FLContext) -> Checkpoint | None:
    """The Theta of a finished job, from the server's own folder; signed wherever the server has a consortium's root.

    Args:
        job: its id; empty for none.
        fl_ctx: of the job that wants it.

    Raises:
        TrustError: it is not signed. CheckpointError: it is missing or damaged.
    """
    if not job:
        return None
    return read_theta(find_theta(models_folder(fl_ctx), job), consortium_root(fl_ctx), job, model_limits(fl_ctx))


def publishes_for_good(fl_ctx: FLContext) -> bool:
    """Whether FLARE keeps what a job leaves; in the simulator the command that started it has yet to fetch it."""
    return consortium_root(fl_ctx) is not None


def consortium_root(fl_ctx: FLContext) -> Path | None:
    """The consortium's root certificate in a provisioned server's kit; the simulator has none."""
    root = Path(fl_ctx.get_workspace().get_root_dir()) / ROOT
    return root if root.is_file() else None
