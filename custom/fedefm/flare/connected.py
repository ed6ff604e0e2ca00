"""Which hospitals the server has at this moment, and when it last heard of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fedefm.flare.watching import asked, session_of


def connected(folder: Path, now: Callable[[], float] = time.time) -> dict[str, float]:
    """Seconds since the last sign of life of each connected hospital, by its name.

    Args:
        folder: the kit of a person.
        now: the clock.

    Raises:
        ConfigError: no such kit. TrustError: this person may not. FedefmError: the server does not answer.
    """
    with session_of(folder) as (kit, session):
        found = asked(kit, session.get_system_info)
    return {str(one.name): max(0.0, now() - float(one.last_connect_time or 0.0)) for one in found.client_info}
