"""The files with which a machine runs a kit as a service: systemd's units and logrotate's rule, filled for its places.

A kit does not know where it will lie, so these files are made there; nobody has to edit one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.kits.kit import PERSON, Kit
from fedefm.kits.lay import fill
from fedefm.resources import shipped

TEMPLATES = "systemd"  # a folder of provisioning/
PLACES = {
    "site.service": "fedefm-{name}.service",
    "doctor.service": "fedefm-{name}-doctor.service",
    "doctor.timer": "fedefm-{name}-doctor.timer",
    "logrotate.conf": "fedefm-{name}.logrotate",
}


@dataclass(frozen=True)
class Account:
    """Who runs the site.

    Attributes:
        user: the account's name.
        group: its group's name.
        commands: folder of its `fedefm` and `python3`.
    """

    user: str
    group: str
    commands: Path


def units(kit: Kit, account: Account, writable: Iterable[Path]) -> dict[str, str]:
    """The files by their names.

    Args:
        kit: a hospital's or the server's; its folder lies where it will run.
        account: who runs it.
        writable: folders outside the kit that the site writes; everything else is read-only for it.

    Raises:
        ConfigError: a person's kit, or a path that systemd could not be told.
    """
    if kit.role == PERSON:
        raise ConfigError(f"{kit.folder}: nothing runs from a person's kit; name a hospital's or the server's")
    folder = kit.folder.resolve()
    values = {
        "name": kit.name,
        "user": account.user,
        "group": account.group,
        "kit": _path(folder),
        "bin": _path(account.commands),
        "logs": _path(folder.with_name(f"{folder.name}-audit")),
        "writable": " ".join(f'"{_path(path)}"' for path in [folder, *sorted(set(writable))]),
    }
    made = {}
    for name, place in PLACES.items():
        source = shipped("provisioning", TEMPLATES) / name
        made[place.format(name=kit.name)] = _filled(source, values)
    return made


def _filled(source: Path, values: dict[str, str]) -> str:
    """As `fill`, but for the list of paths, whose quotes are meant."""
    text = source.read_text().replace("{~~writable~~}", values["writable"])
    plain = {name: value for name, value in values.items() if name != "writable"}
    if source.suffix == ".conf":  # logrotate has no specifiers
        plain = {name: value.replace("%%", "%") for name, value in plain.items()}
    return fill(text, plain, source)


def _path(path: Path) -> str:
    """For systemd, which takes `%` for a specifier, and would take `$` for a variable."""
    text = str(path)
    if not text.isprintable() or set(text) & set(" \"'\\$*?[]{}") or not path.is_absolute():
        raise ConfigError(f"{path}: systemd and logrotate cannot be told this path; move it to one of plain characters")
    return text.replace("%", "%%")
