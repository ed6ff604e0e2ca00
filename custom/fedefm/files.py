"""The one place where files are written whole or not at all: beside their place, flushed to the disk, then renamed.

A reader, or the same program after a power cut, finds the earlier content or the new one, never half of it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file; folders on the way are made.

    Args:
        path: its place; what is there is replaced.
        content: text is written as UTF-8.
        mode: permission bits, such as 0o600; None for what the process usually gives.

    Raises:
        ConfigError: it cannot be written; what was there is still there.
    """
    write_together(path.parent, {path.name: content}, mode=mode)


def write_json(path: Path, plain: Any) -> None:
    """Write JSON with sorted keys, one value a line; otherwise as `write_whole`.

    Raises:
        ConfigError: it cannot be written. ValueError: NaN or infinity, which are no JSON.
    """
    write_whole(path, json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_together(folder: Path, files: Mapping[str, str | bytes], *, mode: int | None = None) -> None:
    """Write files into a folder, by name: all of them beside their places first, then all renamed.

    Raises:
        ConfigError: one cannot be written; then none was renamed, unless the renaming itself failed.
    """
    _make_folder(folder)
    parts = {folder / name: _part(folder / name) for name in files}
    try:
        for (place, part), content in zip(parts.items(), files.values(), strict=True):
            with told(place):
                part.write_bytes(content.encode() if isinstance(content, str) else content)
                if mode is not None:
                    part.chmod(mode)
                _flush(part)
        for place, part in parts.items():
            with told(place):
                part.replace(place)
    finally:
        for part in parts.values():
            _remove(part)
    _flush_folder(folder)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """For writers that want a path: gives one beside `path`, which takes its place when the block ends well.

    Raises:
        ConfigError: the block, or what follows it, raised an `OSError`; the message says why and what to do.
    """
    _make_folder(path.parent)
    part = _part(path)
    try:
        with told(path):
            yield part
            _flush(part)
            part.replace(path)
    finally:
        _remove(part)
    _flush_folder(path.parent)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end, or goes away with an error.

    Raises:
        ConfigError: the place is taken, or no folder can be made there.
    """
    check_free(out)
    out = out.resolve()  # "." has no name
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    _make_folder(folder, new=True)
    try:
        yield folder
        with told(out):
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


def _make_folder(folder: Path, *, new: bool = False) -> None:
    """Make a folder and those on the way to it.

    Args:
        folder: its place.
        new: refuse one that is there.

    Raises:
        ConfigError: it cannot be made.
    """
    with told(folder):
        folder.mkdir(parents=True, exist_ok=not new)


@contextmanager
def told(place: Path) -> Iterator[None]:
    """Tell what the system refuses in one line: the place, the reason, and what to do."""
    try:
        yield
    except OSError as error:
        reason, remedy = error.strerror or str(error), "choose a writable folder"
        if error.errno in _FULL:
            remedy = "free some space there, or choose a folder on another disk"
        elif error.errno in _FORBIDDEN:
            remedy = "choose a folder that you may write to"
        raise ConfigError(f"{place}: cannot be written ({reason}); {remedy}") from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _flush(path: Path) -> None:
    """Make a file or folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # some network file systems cannot flush a folder; the files are in their places
        _flush(folder)


def _remove(part: Path) -> None:
    with suppress(OSError):  # where the folder could not be used nothing was written
        part.unlink(missing_ok=True)
