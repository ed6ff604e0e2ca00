"""What lies in a folder: path, size and SHA-256 of every file that a manifest of that kind covers."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fedefm.errors import TrustError
from fedefm.trust.exact import canonical, strict_json
from fedefm.trust.kinds import Kind, Limits
from fedefm.trust.names import check_path, check_twins, shown

MAX_JSON_BYTES = 8_000_000  # of a job's file whose content is signed: the one kind of file that is held in memory
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A signed file.

    Attributes:
        path: relative, with slashes.
        size: in bytes.
        sha256: 64 hexadecimal digits. For a job's JSON file both are those of its content in canonical form.
    """

    path: str
    size: int
    sha256: str


def list_folder(folder: Path, kind: Kind, limits: Limits | None = None) -> tuple[Entry, ...]:
    """Hash every file that a manifest of this kind covers, sorted by path; nothing is written.

    Files are read in a stream: the memory that it takes does not grow with them.

    Args:
        folder: a kit, an app folder of a job, or a folder of models.
        kind: what it is.
        limits: the most that it may hold, before a byte is read; those of the kind by default.

    Raises:
        TrustError: a link, device or odd name; an empty folder; modes too open for a kit; too many files or bytes.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise TrustError(f"{folder}: not a folder; name the folder of the {kind.name} itself, not a link")
    _check_mode(folder.lstat(), ".", kind)
    limits = limits or kind.limits
    paths: list[str] = []
    total = 0
    for path, size in _walk(folder, "", kind):
        paths.append(path)
        total += size
        check_size(len(paths), total, kind, limits)
    check_twins(paths)
    _check_written(folder, kind)
    return tuple(_entry(folder, path, kind, limits) for path in sorted(paths))


def _check_written(folder: Path, kind: Kind) -> None:
    """Refuse what stands in a file that FLARE writes, where it is not what FLARE writes there."""
    for name, written in kind.written.items():
        if not (folder / name).exists():
            continue
        if not (folder / written.beside).is_file():
            raise TrustError(f"{name}: no file of this {kind.name}, whose owner has no use for it; take it out")
        with _opened(folder / name) as file:
            written.check(file.read(MAX_JSON_BYTES + 1))


def check_size(files: int, size: int, kind: Kind, limits: Limits) -> None:
    """Refuse more than a folder of this kind may hold.

    Raises:
        TrustError: too many files or bytes.
    """
    if files > limits.files or size > limits.bytes:
        raise TrustError(
            f"more than {limits.files} files or {limits.bytes} bytes, the most that a {kind.name} may hold; "
            "name the right folder, or ask the consortium, whose policy fedefm_limits.json sets it for jobs and models"
        )


def _walk(folder: Path, inside: str, kind: Kind) -> Iterator[tuple[str, int]]:
    """Path and size of all covered files; sorted, so that the first fault is always the same one."""
    for one in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = check_path(f"{inside}/{one.name}" if inside else one.name)
        status = one.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            if not kind.leaves_out_folder(path):
                yield from _walk_below(Path(one.path), path, kind, status)
            continue
        if not stat.S_ISREG(status.st_mode):
            raise TrustError(f"{shown(path)}: a link or device, not a file; {kind.remedy}")
        _check_mode(status, path, kind)
        if not kind.leaves_out_file(path):
            yield path, status.st_size


def _walk_below(folder: Path, path: str, kind: Kind, status: os.stat_result) -> Iterator[tuple[str, int]]:
    """The same for a folder inside, which must hold something: FLARE acts on the mere name of a folder `custom`."""
    _check_mode(status, path, kind)
    empty = True
    for found in _walk(folder, path, kind):
        empty = False
        yield found
    if empty:
        raise TrustError(f"{shown(path)}: a folder without a signed file, which no manifest covers; {kind.remedy}")


def _check_mode(status: os.stat_result, path: str, kind: Kind) -> None:
    if not kind.tight:
        return
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise TrustError(f"{shown(path)}: group or others may write it; {kind.remedy}, and run chmod -R go-w on it")
    if path in kind.keys and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TrustError(
            f"{shown(path)}: a private key that others may read; run chmod 600 on it, and ask for a new one"
        )


def _entry(folder: Path, path: str, kind: Kind, limits: Limits) -> Entry:
    with _opened(folder / path) as file:
        if kind.json_by_content and path.endswith(".json"):
            data = _content(_short(file, path), path)
            return Entry(path, len(data), hashlib.sha256(data).hexdigest())
        return _streamed(file, path, kind, limits)


def _opened(path: Path) -> BinaryIO:
    """Open a file, follow no link that took its place since it was listed, and do not wait for a pipe."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _streamed(file: BinaryIO, path: str, kind: Kind, limits: Limits) -> Entry:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        check_size(1, size, kind, limits)  # it may have grown since it was listed
    return Entry(path, size, digest.hexdigest())


def _short(file: BinaryIO, path: str) -> bytes:
    data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise TrustError(f"{shown(path)}: more than {MAX_JSON_BYTES} bytes; no settings of a job are that long")
    return data


def _content(data: bytes, path: str) -> bytes:
    try:
        return canonical(strict_json(data))
    except (ValueError, RecursionError) as error:
        raise TrustError(f"{shown(path)}: not plain JSON ({error}); correct it and sign the job again") from error
