"""A hospital's name onto the server's list of those who may not connect, from a process that runs already.

`nvflare system disable-client` does the same, and takes as long as a round of a small job to load.
"""

from __future__ import annotations

from pathlib import Path

from fedefm.flare.watching import asked, session_of


def suspend(folder: Path, site: str) -> None:
    """Let the server send a hospital away from now on.

    Args:
        folder: the kit of a project admin.
        site: the hospital.

    Raises:
        ConfigError: no such kit. TrustError: this person may not. FedefmError: the server does not answer.
    """
    with session_of(folder) as (kit, session):
        asked(kit, lambda: session.disable_client(site))
