"""A run on this machine that was interrupted: what it was started with, and whether the same run can go on."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError, FedefmError
from fedefm.files import folder_sha256, write_json
from fedefm.foundation.record import versions
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import Checkpoint
from fedefm.settings import JsonSettings, load, settings_class
from fedefm.training.kept import FOLDER, is_kept

STARTED_FILE, LOCK_FILE = "run.json", "lock"
_NO_RESULT = ("nvflare", "python")  # versions that change no bit of Theta


@settings_class
class Started(JsonSettings):
    """What a run was started with.

    Attributes:
        settings: the job.
        folders: data folder of every hospital, whole paths.
        data: fingerprint of each.
        versions: of what a result depends on.
        simulator: FLARE's simulator, or this process.
        job: the FLARE job folder that the simulator runs.
        device: of all hospitals.
        theta: file of the Theta that it starts from; empty for none.
    """

    settings: Settings
    folders: Mapping[str, str]
    data: Mapping[str, str]
    versions: Mapping[str, str]
    simulator: bool
    job: str
    device: str
    theta: str = ""

    @property
    def sites(self) -> dict[str, Path]:
        """Data folder of every hospital."""
        return {site: Path(folder) for site, folder in self.folders.items()}

    def check(self) -> None:
        """Refuse to go on where the result would be another one.

        Raises:
            ConfigError: a data folder or a version changed.
        """
        now = _versions()
        for name, version in self.versions.items():
            if now.get(name) != version:
                raise ConfigError(
                    f"{name} is {now.get(name)}, this run began with {version}, and Theta would be another one; "
                    "install that version again, or remove the run and start anew"
                )
        for site, folder in self.sites.items():
            if not folder.is_dir() or folder_sha256(folder) != self.data[site]:
                raise ConfigError(
                    f"{folder}: the images of '{site}' are not those that this run began with; "
                    "put those back, or remove the run and start anew"
                )


def started(
    settings: Settings,
    folders: Mapping[str, Path],
    *,
    simulator: bool,
    job: Path,
    device: str,
    theta: Checkpoint | None,
) -> Started:
    """What a run that begins now is started with; every data folder is read once for its fingerprint."""
    whole = {site: folder.resolve() for site, folder in sorted(folders.items())}
    if Path(settings.topology).is_file():  # whoever goes on may stand in another folder
        settings = replace(settings, topology=str(Path(settings.topology).resolve()))
    return Started(
        settings,
        {site: str(folder) for site, folder in whole.items()},
        {site: folder_sha256(folder) for site, folder in whole.items()},
        _versions(),
        simulator,
        str(job.resolve()),
        device,
        "" if theta is None else str(theta.file.resolve()),
    )


def check_finished(out: Path) -> None:
    """Refuse a folder with a run that is not finished.

    Raises:
        ConfigError: it holds one.
    """
    if is_kept(out / FOLDER):
        raise ConfigError(f"{out}: holds a run that is not finished; run `fedefm resume {out}`, or remove it")


def read_started(out: Path) -> Started:
    """What the unfinished run in a folder was started with.

    Raises:
        ConfigError: there is none.
    """
    path = out / FOLDER / STARTED_FILE
    if not path.is_file() and is_kept(out / FOLDER):
        raise ConfigError(f"{out}: holds rounds of a fine-tune; it goes on with the same `fedefm finetune` command")
    if not path.is_file():
        raise ConfigError(f"{out}: holds no run that was interrupted; start one with `fedefm simulate`")
    return load(Started, path)


@contextmanager
def kept_while_it_runs(out: Path, run: Started) -> Iterator[Path]:
    """Gives the folder for the rounds of a run; it goes away when the block ends well, or when no round is kept.

    Raises:
        ConfigError: another process is at work on this run, or the folder cannot be written.
        FedefmError: the block's own, with how to go on where a round is kept; Ctrl-C says it too.
    """
    folder = out / FOLDER
    write_json(folder / STARTED_FILE, run.to_dict())
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{out}: its run is still at work; wait for its end, or stop it") from error
        try:
            yield folder
        except (FedefmError, KeyboardInterrupt) as error:
            if is_kept(folder):
                raise type(error)(f"{str(error) or 'stopped'}; go on with `fedefm resume {out}`") from error
            _remove(out)
            raise
        _remove(out)


def _remove(out: Path) -> None:
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    if not any(out.iterdir()):
        out.rmdir()


def _versions() -> dict[str, Any]:
    return {name: version for name, version in versions().items() if name not in _NO_RESULT}
