"""FLARE asks no deny list. Here it does: at the server, at each hospital, and for whoever commands.

All of FLARE's peers are told apart in one place, `IdentityVerifier.verify_common_name`: the server judges a hospital
that registers and a person who logs in, and a hospital judges the server before it registers. There is no event for it,
so this component puts the consortium's list behind that one function, for the process that it lives in. Should FLARE
ever name it otherwise, the site does not start.

A hospital that is connected when its certificate is revoked has been judged already, and after a restart of the server
FLARE takes it back by its heartbeat alone. So the server keeps which certificate each peer showed last, and looks at
the list again at each heartbeat; whoever is on it is disabled as `nvflare system disable-client` does it, which holds
in mid-job too (`removed.py`).
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from cryptography import x509
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.private.fed.utils.identity_utils import IdentityVerifier

from fedefm.errors import FedefmError, TrustError
from fedefm.files import write_json
from fedefm.trust.certificates import end_of, name_of
from fedefm.trust.kinds import PEERS_NAME
from fedefm.trust.revoked import must_be_good, read_list, serial_of

MOMENTS = (EventType.CLIENT_REGISTER_PROCESSED, EventType.CLIENT_HEARTBEAT_PROCESSED)
ROOT = "rootCA.pem"
_MAX_PEERS = 10_000
_LAST_END = 99_999_999_999  # seconds since 1970, in the year 5138
_lock = threading.Lock()


class RevokedPeers(FLComponent):
    """A component of `local/resources.json` at the server and at each hospital; it has no settings."""

    def __init__(self) -> None:
        super().__init__()
        guard_identities()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """At the server, send away who was revoked while connected."""
        if event_type not in MOMENTS:
            return
        engine = fl_ctx.get_engine()
        manager = engine.server.client_manager
        kit = Path(engine.get_workspace().get_root_dir())
        connected = {client.name for client in list(manager.clients.values())}
        for name in sorted(revoked_among(connected, kit)):
            self.log_error(fl_ctx, f"{name}: its certificate was revoked; it is disabled", fire_event=False)
            manager.disable_client(name)


def guard_identities() -> None:
    """Put the deny list behind FLARE's judgement of a peer, in this process, once."""
    if hasattr(IdentityVerifier, "fedefm_guarded"):
        return
    begin, judge = IdentityVerifier.__init__, IdentityVerifier.verify_common_name

    @wraps(begin)
    def init(self: Any, root_cert_file: str) -> None:
        begin(self, root_cert_file)
        self.fedefm_root = Path(root_cert_file).resolve()

    IdentityVerifier.__init__ = init
    IdentityVerifier.verify_common_name = guarded(judge)
    IdentityVerifier.fedefm_guarded = True


def guarded(judge: Callable[..., bool]) -> Callable[..., bool]:
    """FLARE's judgement, and then ours."""

    @wraps(judge)
    def verify_common_name(
        self: Any, asserted_cn: str, nonce: str, asserter_cert: Any, *more: Any, **named: Any
    ) -> bool:
        good = judge(self, asserted_cn, nonce, asserter_cert, *more, **named)
        if good:
            check_peer(asserter_cert, self.fedefm_root)
        return good

    return verify_common_name


def check_peer(certificate: x509.Certificate, root: Path) -> None:
    """Refuse a peer whose certificate is on the deny list of the kit that the root certificate lies in.

    Raises:
        TrustError: it is, or the list cannot be read. It stands in this site's log: FLARE may keep the text back.
    """
    kit = root.parent.parent
    try:
        must_be_good(certificate, kit, root)
        if (kit / "startup" / "fed_server.json").is_file():
            _remember(kit, name_of(certificate), f"{serial_of(certificate)} {_end(certificate)}")
    except FedefmError as error:
        logging.getLogger(__name__).error("refused: %s", error)
        raise TrustError(str(error)) from error


def revoked_among(names: set[str], kit: Path) -> set[str]:
    """Those peers that showed a certificate last which is on the list now."""
    serials = read_list(kit, kit / "startup" / ROOT).serials
    if not serials:
        return set()
    peers = _peers(kit)
    return {name for name in names if peers.get(name, "").partition(" ")[0] in serials}


def certificate_ends(kit: Path) -> dict[str, float]:
    """When the certificate ends that each peer of a server showed last, in seconds since 1970, by its name.

    What is not told, as by a server of an earlier version, is left out; so is all of it where there is no such file,
    as in the simulator.

    Raises:
        TrustError: the file is damaged.
    """
    ends = ((name, text.partition(" ")[2]) for name, text in _peers(kit).items())
    return {name: float(end) for name, end in ends if end}


def _end(certificate: x509.Certificate) -> int:
    """When it ends, as the file holds it: whatever a certificate says, what is written can be read again."""
    return int(min(max(0.0, end_of(certificate)), _LAST_END))


def _remember(kit: Path, name: str, showed: str) -> None:
    with _lock:
        peers = _peers(kit)
        if peers.get(name) != showed and len(peers) < _MAX_PEERS:
            write_json(kit / PEERS_NAME, peers | {name: showed})


def _peers(kit: Path) -> dict[str, str]:
    """Of each peer the serial number of its last certificate, and, after a space, when that ends.

    Raises:
        TrustError: the file is damaged.
    """
    path = kit / PEERS_NAME
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrustError(f"{PEERS_NAME}: cannot be read; remove it and start the server again") from error
    good = isinstance(plain, dict) and all(
        isinstance(showed, str) and re.fullmatch(r"[0-9a-f]{1,40}( \d{1,11})?", showed) for showed in plain.values()
    )
    if not good:
        raise TrustError(f"{PEERS_NAME}: not as it was written; remove it and start the server again")
    return plain
