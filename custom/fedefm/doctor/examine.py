"""All checks of a kit, in the order in which a person mends them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fedefm.doctor import machine
from fedefm.doctor.finding import FAIL, REINSTALL, Finding, failed, guarded


def examine(
    folder: Path,
    *,
    data_folder: Path | None = None,
    show_names: bool = False,
    root_fingerprint: str | None = None,
    offline: bool = False,
    now: datetime | None = None,
) -> list[Finding]:
    """Look at a kit and the machine that it lies on; writes nothing.

    Args:
        folder: the kit; or the folder of `nvflare provision`, whose modes and dates of certificates are checked.
        data_folder: read every image there; without it only that the site's configured folder exists.
        show_names: let findings name files of that folder.
        root_fingerprint: of the consortium's root certificate, as it came by another way than the kit.
        offline: do not try to reach the server.
        now: the time, with its zone; this moment by default.
    """
    found = guarded("Python", machine.python) + guarded("packages", machine.packages)
    found += guarded("disk", lambda: machine.disk(folder)) + guarded("memory", machine.memory)
    try:
        from fedefm.doctor.participant import participant
    except ImportError as error:  # also a package that is there and broken
        return [*found, failed("packages", f"{error}; the kit could not be looked at", REINSTALL)]
    return found + participant(folder, data_folder, show_names, root_fingerprint, offline, now)


def ok(found: list[Finding]) -> bool:
    """Nothing failed."""
    return all(one.status != FAIL for one in found)
