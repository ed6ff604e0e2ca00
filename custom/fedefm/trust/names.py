"""Which file names a manifest may hold, and how a hostile name is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from fedefm.errors import TrustError

MAX_PATH = 512


def shown(name: str) -> str:
    """A name for a message: one short line of printable ASCII, whatever the name holds."""
    plain = name.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in plain)[:200] or "(no name)"


def check_path(path: str) -> str:
    """Give the path back when it is relative, normal and the same on every file system.

    Raises:
        TrustError: absolute, with `..`, empty parts, backslash, colon, control characters, not UTF-8 or not NFC.
    """
    parts = path.split("/")
    wrong = (
        not path
        or len(path) > MAX_PATH
        or any(part in ("", ".", "..") for part in parts)
        or any(c in "\\:" or not (c.isprintable() or c == " ") for c in path)
        or not _is_utf8(path)
        or unicodedata.normalize("NFC", path) != path
    )
    if wrong:
        raise TrustError(f"{shown(path)}: not a plain relative file name; rename it or take it out of the folder")
    return path


def check_twins(paths: Iterable[str]) -> None:
    """Refuse two names that some file system takes for one.

    Raises:
        TrustError: two names that differ by case only, or the same name twice.
    """
    seen: dict[str, str] = {}
    for path in paths:
        twin = seen.setdefault(path.casefold(), path)
        if twin is not path:
            raise TrustError(f"{shown(path)}: the same name as {shown(twin)} but for its case; rename one of them")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
