"""Copy a folder of templates into a kit, and close the kit to everybody but its owner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.kits import policy_files
from fedefm.kits.kit import LOCAL

_PLACEHOLDER = re.compile(r"\{~~(\w+)~~\}")  # as in FLARE's own templates
_EXECUTABLE = 0o100


def lay(template: Path, kit: Path, values: Mapping[str, str]) -> None:
    """Copy every file of `template` to the same place in `kit`, with placeholders filled in.

    A policy is written under the name of FLARE's fallback too (`NAME.default`): should the policy ever be missing, or
    `nvflare deploy prepare` keep nothing but fallbacks, the same policy holds.

    Args:
        template: folder with `local/` and `startup/`.
        kit: a participant's folder.
        values: what stands for `{~~name~~}`.

    Raises:
        ConfigError: a placeholder has no value.
    """
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        text = fill(source.read_text(), values, source)
        target = kit / source.relative_to(template)
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, text, source.stat().st_mode & _EXECUTABLE)
        if target.parent.name == LOCAL and target.name in policy_files.POLICIES:
            _write(target.with_name(f"{target.name}.default"), text)


def fill(text: str, values: Mapping[str, str], source: Path) -> str:
    """The text with each `{~~name~~}` replaced; inside JSON strings, so values may hold neither quotes nor backslashes.

    Raises:
        ConfigError: a name without a value, or a value that would break out of its string.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise ConfigError(f"{source.name}: '{name}' has no value; give it to the kit builder in the project file")
        if not values[name].isprintable() or set(values[name]) & set('"\\'):
            raise ConfigError(f"project file: '{name}' holds a quote, backslash or control character; choose another")
        return values[name]

    return _PLACEHOLDER.sub(value, text)


def replace_once(path: Path, old: str, new: str) -> None:
    """Change one line of a file that FLARE made.

    Raises:
        ConfigError: the line is not there exactly once; FLARE is of another version.
    """
    text = path.read_text()
    if text.count(old) != 1:
        raise ConfigError(f"{path.name}: '{old}' is not there once; this FLARE is not the version that fedefm knows")
    path.write_text(text.replace(old, new))


def tighten(folder: Path) -> None:
    """Owner only: folders 0700, scripts 0700, all other files 0600."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & _EXECUTABLE
        path.chmod(0o700 if executable else 0o600)


def loose(folder: Path) -> list[Path]:
    """What group or others may read, write or enter, relative to `folder`, sorted."""
    return sorted(p.relative_to(folder) for p in [folder, *folder.rglob("*")] if p.lstat().st_mode & 0o077)


def _write(path: Path, text: str, executable: int = 0) -> None:
    path.write_text(text)
    path.chmod(0o700 if executable else 0o600)
