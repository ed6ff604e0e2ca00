"""Hospitals that the consortium removed: what `nvflare system disable-client` leaves in the server's kit.

FLARE 2.9.0 refuses the heartbeats of such a hospital at the server's main process; the process of a running job is not
told, goes on giving it work and takes what it returns. So the job looks itself, into the file that FLARE keeps.
"""

from __future__ import annotations

import json
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedefm.errors import TrustError

FILE = "disabled_clients.json"
KEY = "disabled_clients"


def removed_sites(kit: Path) -> frozenset[str]:
    """The names on the block list of a server's kit; nobody where there is none.

    Raises:
        TrustError: the list cannot be read. The job must not go on as if nobody had been removed.
    """
    path = kit / FILE
    try:
        names = json.loads(path.read_text())[KEY]
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrustError(f"{path}: the list of removed hospitals cannot be read; mend or restore it") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TrustError(f"{path}: '{KEY}' is no list of names; mend or restore it")
    return frozenset(names)


def kit_of(fl_ctx: FLContext) -> Path:
    """The server's kit, as the process of a job sees it."""
    return Path(fl_ctx.get_workspace().get_root_dir())
