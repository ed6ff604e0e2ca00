"""Whom the server has shut out: the one file with a meaning that FLARE writes into a signed kit.

`nvflare system disable-client` writes it at the server, and the server reads it when it starts. It can only take a
hospital's right to connect away, so it needs no signature; but it holds this list and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from fedefm.errors import TrustError
from fedefm.trust.exact import strict_json

DISABLED_NAME = "disabled_clients.json"
_KEY = "disabled_clients"
_SITE = re.compile(r"[A-Za-z0-9_-]{1,63}")  # as FLARE lets a project file name a client
_MOST, _MAX_BYTES = 1000, 100_000
_REMEDY = "remove it, start the server, and disable them again with `fedefm consortium suspend`"


def parse_disabled(data: bytes) -> tuple[str, ...]:
    """The names in the file, as FLARE writes it.

    Raises:
        TrustError: anything else than one list of different site names.
    """
    try:
        plain = strict_json(data) if len(data) <= _MAX_BYTES else None
    except ValueError:
        plain = None
    names = plain.get(_KEY) if isinstance(plain, dict) and set(plain) == {_KEY} else None
    good = (
        isinstance(names, list)
        and len(names) <= _MOST
        and all(isinstance(name, str) and _SITE.fullmatch(name) for name in names)
        and len(set(names)) == len(names)
    )
    if not good:
        raise TrustError(f"{DISABLED_NAME}: not a plain list of hospitals, as FLARE writes it; {_REMEDY}")
    return tuple(sorted(names or ()))


def read_disabled(kit: Path) -> tuple[str, ...]:
    """Names of the hospitals that a server's kit shuts out; none where nobody ever was.

    Raises:
        TrustError: as `parse_disabled`.
    """
    path = kit / DISABLED_NAME
    if not path.exists():
        return ()
    with path.open("rb") as file:
        return parse_disabled(file.read(_MAX_BYTES + 1))
