"""Where a file lies whose SHA-256 is known: kept for this user alone, so that no result has to name its source.

In `$XDG_CACHE_HOME/fedefm/sources`, else `~/.cache/fedefm/sources`; it may be deleted at any time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from fedefm.errors import DataError
from fedefm.files import file_sha256

_LONGEST = 1 << 16


def remember(sha256: str, path: Path) -> None:
    """Note where a file lies; where that cannot be noted a person has to name the place later."""
    with suppress(OSError):
        folder = _folder()
        folder.mkdir(0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / sha256, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(str(path.absolute()))


def recall(sha256: str) -> Path | None:
    """Where a file was when it was noted; None where nobody did."""
    try:
        with (_folder() / sha256).open(encoding="utf-8") as file:
            path = Path(file.read(_LONGEST))
    except (OSError, ValueError):
        return None
    return path if path.is_absolute() else None


def find(sha256: str, named: Path | None) -> Path:
    """The file, where it was noted, or where a person says that it is: by itself, or in a folder.

    Raises:
        DataError: it is not there any more, or was changed.
    """
    path = recall(sha256) if named is None else named
    if path is None:
        raise DataError("where the run lies is not noted for this user on this machine; name its place as --source")
    if named is not None and named.is_dir():
        return _within(named, sha256)
    if not path.is_file():
        raise DataError(f"{path}: the source is not there any more; put it back, or name its new place as --source")
    if file_sha256(path) != sha256:
        raise DataError(f"{path}: the source is not the file that was segmented; put that back, or segment it anew")
    return path


def _within(folder: Path, sha256: str) -> Path:
    before = recall(sha256)  # the same name is looked at first
    paths = sorted(folder.iterdir(), key=lambda path: (before is None or path.name != before.name, path.name))
    for path in paths:
        if path.is_file() and file_sha256(path) == sha256:
            return path
    raise DataError(f"{folder}: the source is not the file that was segmented; put that back, or segment it anew")


def _folder() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    users = home if home.is_absolute() else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 as data/prepared.py
    return users / "fedefm" / "sources"
