"""What the server decides for itself: where the models lie that later jobs start from."""

from __future__ import annotations

import json
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.errors import ConfigError
from fedefm.flare.job_files import site_folder

FILE = "fedefm_server.json"
ROOT = Path("startup") / "rootCA.pem"


def models_folder(fl_ctx: FLContext) -> Path:
    """The folder of models, from `local/fedefm_server.json`; absolute, or relative to that file.

    Raises:
        ConfigError: no such file, not JSON, or without `models`.
    """
    path = site_folder(fl_ctx) / FILE
    if not path.is_file():
        raise ConfigError(f'{path}: no such file; write it as {{"models": "/path/to/the/models"}}')
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable JSON ({error}); correct it") from error
    if not isinstance(plain, dict) or set(plain) != {"models"} or not isinstance(plain["models"], str):
        raise ConfigError(f"{path}: must be an object that names the folder under 'models', and no more")
    return path.parent / plain["models"]


def consortium_root(fl_ctx: FLContext) -> Path | None:
    """The consortium's root certificate in a provisioned server's kit; the simulator has none."""
    root = Path(fl_ctx.get_workspace().get_root_dir()) / ROOT
    return root if root.is_file() else None
