"""A participant's kit: whose it is, what it connects to, and where its certificate lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError

HOSPITAL, SERVER, PERSON = "hospital", "server", "person"
STARTUP, LOCAL = "startup", "local"
CONSOLE = "console.txt"
LOG = "log.txt"  # FLARE's own, as `log_config.json` names it
REGISTERED = "Successfully registered client"  # there, when the server has taken a hospital in
SENT_AWAY = "Failed to send heartbeat"  # there, each time that the server refuses a heartbeat of it
UNANSWERED = "for ['heart_beat'] after"  # there, each time that the server does not answer one
REJECTED = "registration rejected: "  # there, when the server has not taken it in; why stands behind it
KIT_FOLDERS = "prod_*"  # each run of `nvflare provision` makes one, named in rising order
LAST_KITS = "prod_99"  # after it FLARE makes none
_FILES = {HOSPITAL: "fed_client.json", SERVER: "fed_server.json", PERSON: "fed_admin.json"}


@dataclass(frozen=True)
class Kit:
    """What `nvflare provision` made for one participant.

    Attributes:
        folder: the kit.
        role: `hospital`, `server` or `person`.
        name: the participant's name, which is the common name of its certificate.
        endpoints: host and port of all that it connects to; none for a server.
    """

    folder: Path
    role: str
    name: str
    endpoints: tuple[tuple[str, int], ...]

    @property
    def startup(self) -> Path:
        """Folder of certificates, keys and start scripts."""
        return self.folder / STARTUP

    @property
    def local(self) -> Path:
        """Folder of the policies."""
        return self.folder / LOCAL

    @property
    def root(self) -> Path:
        """The consortium's root certificate, as the kit has it."""
        return self.startup / "rootCA.pem"

    @property
    def certificate(self) -> Path:
        """The participant's certificate."""
        return self.startup / ("server.crt" if self.role == SERVER else "client.crt")

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.certificate.with_suffix(".key")


def open_kit(folder: Path) -> Kit:
    """Read whose kit a folder is.

    Raises:
        ConfigError: not a kit, or its configuration is not what `nvflare provision` writes.
    """
    found = [role for role, name in _FILES.items() if (folder / STARTUP / name).is_file()]
    if len(found) != 1:
        raise ConfigError(f"{folder}: not one participant's kit; name the folder that holds startup/ and local/")
    path = folder / STARTUP / _FILES[found[0]]
    plain = read_object(path)
    try:
        return Kit(folder, found[0], *_READERS[found[0]](plain))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path.name}: not as FLARE writes it ({type(error).__name__}); fetch the kit again"
        ) from error


def open_persons_kit(folder: Path) -> Kit:
    """The kit of a person.

    Raises:
        ConfigError: not a kit, or that of a server or hospital.
    """
    kit = open_kit(folder)
    if kit.role != PERSON:
        raise ConfigError(f"{folder}: is the kit of a {kit.role}; name the kit of a person, such as the lead's")
    return kit


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: missing, not JSON, or not an object.
    """
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name}: missing or not readable JSON; fetch the kit again") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{path.name}: not an object; fetch the kit again")
    return plain


def _hospital(plain: dict[str, Any]) -> tuple[str, tuple[tuple[str, int], ...]]:
    return str(plain["client"]["fqsn"]), tuple(_endpoint(one["service"]["target"]) for one in plain["servers"])


def _server(plain: dict[str, Any]) -> tuple[str, tuple[tuple[str, int], ...]]:
    return str(plain["servers"][0]["admin_server"]), ()


def _person(plain: dict[str, Any]) -> tuple[str, tuple[tuple[str, int], ...]]:
    admin = plain["admin"]
    return str(admin["username"]), ((str(admin["host"]), int(admin["port"])),)


def _endpoint(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host, int(port)


_READERS = {HOSPITAL: _hospital, SERVER: _server, PERSON: _person}
