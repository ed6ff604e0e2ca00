"""A workspace of FLARE's simulator: its policy, and what every hospital would state; and where a run may be put."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.exchange.messages import RESERVED
from fedefm.exchange.record import RECORD_FILE
from fedefm.flare.server_config import FILE as SERVER_FILE
from fedefm.flare.simulator import RESERVED as FLARES_OWN
from fedefm.models.checkpoint import THETA_FILE
from fedefm.resources import shipped

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_TAKEN = (*RESERVED, *FLARES_OWN)
RESULTS = (THETA_FILE, RECORD_FILE, "models", "report.json")
"""Names of what a run leaves."""


def check_site_names(folders: Mapping[str, Path]) -> None:
    """Refuse names that FLARE cannot carry, and folders that are not there.

    Raises:
        ConfigError: no site, a wrong name, two names that differ in case only, or a missing folder.
    """
    if not folders:
        raise ConfigError("no hospital: name at least one data folder")
    for name, folder in folders.items():
        if not is_site_name(name):
            raise ConfigError(
                f"site name '{name[:80]}': use letters, digits, '-' and '_', and none of FLARE's own names"
            )
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; give the data folder of '{name}'")
    if len({name.lower() for name in folders}) != len(folders):
        raise ConfigError("two site names differ in upper and lower case only; give each its own")


def is_site_name(name: str) -> bool:
    """Whether FLARE can carry a hospital's name."""
    return _NAME.fullmatch(name) is not None and name.lower() not in _TAKEN


def check_out(out: Path, names: Sequence[str] = RESULTS) -> None:
    """Refuse a folder that already holds a run, by the names of what one leaves.

    Raises:
        ConfigError: it does, or it is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; name a new folder for the results")
    if any((out / name).exists() for name in names):
        raise ConfigError(f"{out}: already holds a run; choose another folder or move it away")


def write_workspace(
    workspace: Path, folders: Mapping[str, Path], *, threads: int, device: str, least_images: int = 1
) -> None:
    """The simulator's policy, and what each hospital would write into its own `local` folder.

    Who runs all hospitals speaks for each of them and sees their images: nothing is held back unless it is asked for.
    """
    local = workspace / "local"
    shutil.copytree(shipped("workspace_templates", "simulator", "local"), local)
    for site, folder in folders.items():
        plain = {"data": str(folder.resolve()), "device": device, "threads": threads, "least_images": least_images}
        (local / f"fedefm_site.{site}.json").write_text(json.dumps(plain) + "\n")


def write_server(workspace: Path, models: Mapping[str, Path], rounds: Path) -> None:
    """What the server's administrator would write: where the models lie, with them in it, and where rounds are kept.

    Args:
        workspace: of the simulator.
        models: relative path in the folder of models to file.
        rounds: outside the workspace, which a further run begins by emptying.
    """
    local = workspace / "local"
    (local / SERVER_FILE).write_text(json.dumps({"models": "models", "rounds": str(rounds.resolve())}) + "\n")
    for place, source in models.items():
        target = local / "models" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
