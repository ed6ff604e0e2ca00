"""When the certificates of a running job's server and hospitals end, for whoever watches it.

Nothing is asked for: a hospital shows its certificate when it registers, FLARE verifies it, and the server keeps what
it showed (`revoked.py`). A new one it shows when it registers again, which is before its next job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedefm.errors import TrustError
from fedefm.flare.revoked import certificate_ends
from fedefm.trust.certificates import end_of, load_certificate


@dataclass(frozen=True)
class Expiry:
    """Ends of certificates, in seconds since 1970.

    Attributes:
        server: of the server's own; None where it has none, as in the simulator.
        sites: by hospital, of those that are known.
    """

    server: float | None = None
    sites: Mapping[str, float] = field(default_factory=dict)


def expiry_of(kit: Path) -> Expiry:
    """What the server's kit tells; what cannot be read is not known, and ends no job."""
    try:
        own = kit / "startup" / "server.crt"
        return Expiry(end_of(load_certificate(own)) if own.is_file() else None, certificate_ends(kit))
    except TrustError:
        return Expiry()
