"""The one place where files are written whole or not at all: beside their place, flushed to the disk, then renamed.

A reader, or the same program after a power cut, finds the earlier content or the new one, never half of it.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError

_NUMBER = re.compile(r"(?:\[Errno |\(os error )(\d+)[\])]")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_LOST = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN)
_WRITING = (*_FULL, errno.EROFS, *_LOST)  # what no reader is told, or nothing but a broken disk tells


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
        ConfigError: the place is taken, no folder can be made there, or the block could not write into it.
    """
    check_free(out)
    whole = out.resolve()  # "." has no name
    folder = whole.with_name(f".{whole.name}.{os.getpid()}.partial")
    _make_folder(folder, new=True, place=out)
    try:
        with _told_inside(folder, out):
            yield folder
        with told(out):
            if whole.exists():
                whole.rmdir()
            folder.replace(whole)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def filled(out: Path) -> Iterator[Path]:
    """A folder inside `out`, whose content moves into `out` when the block ends well, or goes away with an error.

    For a folder that holds something already, such as a log; `out` is made if it is missing. What needs room on the
    disk is written within the block, so that nothing but renaming is left to its end.

    Raises:
        ConfigError: `out` cannot be made, or the block could not write.
    """
    made = not out.exists()
    folder = out / f".{os.getpid()}.partial"
    _make_folder(folder, new=True, place=out)
    try:
        with _told_inside(folder, out):
            yield folder
        with told(out):
            for entry in sorted(folder.iterdir()):
                entry.replace(out / entry.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made:
            with suppress(OSError):
                out.rmdir()  # it is empty after an error, and otherwise this fails
    _flush_folder(out)


def check_free(out: Path) -> None:
    """Refuse a place that is taken.

    Raises:
        ConfigError: it is a file, or a folder that holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is not an empty folder; name a new one for the results")


def is_refused_write(error: OSError) -> bool:
    """Whether the system refused to write, or lost the disk: no reader of a file meets these."""
    return _number(error) in _WRITING


def refused_write(error: OSError, place: Path | str) -> ConfigError:
    """What the system refused, in one line: the place, the reason, and what to do.

    Args:
        error: what was raised.
        place: the file or folder that should have been written.
    """
    number = _number(error)
    reason = error.strerror or (os.strerror(number) if number else str(error).partition("\n")[0][:160])
    remedy = "choose a writable folder"
    if number in _FULL:
        remedy = "free some space there, or choose a folder on another disk"
    elif number in _FORBIDDEN:
        remedy = "choose a folder that you may write to"
    elif number in (*_LOST, errno.ENOENT):
        remedy = "see whether its disk is still there, or choose a folder on another one"
    return ConfigError(f"{place}: cannot be written ({reason}); {remedy}")


def system_error(text: str) -> OSError | None:
    """The first refusal to write that another program reports in its output; None where there is none."""
    for number in map(int, _NUMBER.findall(text)):
        if number in _WRITING:
            return OSError(number, os.strerror(number))
    return next((OSError(number, os.strerror(number)) for number in _WRITING if os.strerror(number) in text), None)


def _number(error: OSError) -> int | None:
    """The system's number; `shutil.copytree` and others tell it in their text alone."""
    if error.errno is not None:
        return error.errno
    told = _NUMBER.search(str(error))
    return int(told.group(1)) if told else None


def folder_sha256(folder: Path) -> str:
    """SHA-256 of the paths and contents of all files below a folder; names that begin with a dot do not count.

    Raises:
        ConfigError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("[!.]*")):
        inside = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        digest.update(f"{inside.as_posix()}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


def _make_folder(folder: Path, *, new: bool = False, place: Path | None = None) -> None:
    """Make a folder and those on the way to it.

    Args:
        folder: its place.
        new: refuse one that is there.
        place: the one that an error names; the folder by default.

    Raises:
        ConfigError: it cannot be made.
    """
    with told(place or folder):
        folder.mkdir(parents=True, exist_ok=not new)


@contextmanager
def told(place: Path) -> Iterator[None]:
    """Tell what the system refuses in one line: the place, the reason, and what to do."""
    try:
        yield
    except OSError as error:
        raise refused_write(error, place) from error


@contextmanager
def _told_inside(folder: Path, place: Path) -> Iterator[None]:
    """The same for a block that also reads: its other errors are about other files."""
    try:
        yield
    except OSError as error:
        if is_refused_write(error) or str(error.filename or "").startswith(str(folder)):
            raise refused_write(error, place) from error
        raise


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
