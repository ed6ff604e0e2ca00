"""What the server decides for itself: where the models lie that later jobs start from."""

from __future__ import annotations

from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.errors import ConfigError
from fedefm.flare.job_files import site_folder
from fedefm.kits.limits import read_limits
from fedefm.settings import load, settings_class
from fedefm.trust.kinds import MODEL, Limits

FILE = "fedefm_server.json"
ROOT = Path("startup") / "rootCA.pem"


@settings_class
class ServerConfig:
    """The file `local/fedefm_server.json` of a server; a job can change none of it.

    Attributes:
        models: the folder of models; absolute, or relative to the file.
    """

    models: Path


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


def consortium_root(fl_ctx: FLContext) -> Path | None:
    """The consortium's root certificate in a provisioned server's kit; the simulator has none."""
    root = Path(fl_ctx.get_workspace().get_root_dir()) / ROOT
    return root if root.is_file() else None
