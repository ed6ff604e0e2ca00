"""Files written whole or not at all: beside their place, flushed, renamed; folders that take their place at the end."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedefm.errors import ConfigError


def write_together(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files as UTF-8 into `folder`: each beside its place, then all renamed.

    Raises:
        ConfigError: the folder cannot be written.
    """
    beside = {folder / f".{name}.{os.getpid()}.part": folder / name for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, content in zip(beside, files.values(), strict=True):
            _write_through(part, content)
        for part, place in beside.items():
            part.replace(place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write the report to {folder}: {reason}; choose a writable folder") from error
    finally:
        for part in beside:
            _remove(part)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end, or goes away with an error.

    Raises:
        ConfigError: the place is taken.
    """
    check_free(out)
    out = out.resolve()  # "." has no name
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    folder.mkdir(parents=True)
    try:
        yield folder
        if out.exists():
            out.rmdir()
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_free(out: Path) -> None:
    """Refuse a place that is taken.

    Raises:
        ConfigError: it is a file, or a folder that holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is not an empty folder; name a new one for the results")


def _write_through(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself could not be used: nothing was written there
