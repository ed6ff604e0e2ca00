"""A hospital's or server's kit with no more in it than the checks of certificates and of the network read."""

import json
from pathlib import Path

from fedefm.kits.kit import Kit, open_kit
from support.consortium_certificates import Authority, Pair


def write_kit(folder: Path, consortium: Authority, own: Pair, name: str = "hospital-a", port: int = 1) -> Kit:
    """A hospital's kit; `own` is what it holds, `name` what it says that it is."""
    plain = {"client": {"fqsn": name}, "servers": [{"service": {"target": f"localhost:{port}"}}]}
    return _write(folder, consortium, own, "client", plain)


def write_server_kit(folder: Path, consortium: Authority, own: Pair, name: str = "localhost") -> Kit:
    """The same for a server."""
    return _write(folder, consortium, own, "server", {"servers": [{"admin_server": name}]})


def write_persons_kit(folder: Path, consortium: Authority, own: Pair, name: str, port: int = 1) -> Kit:
    """The same for a person."""
    plain = {"admin": {"username": name, "host": "localhost", "port": port}}
    return _write(folder, consortium, own, "client", plain, "admin")


def _write(folder: Path, consortium: Authority, own: Pair, side: str, plain: dict, file: str = "") -> Kit:
    startup = folder / "startup"
    own.write(startup, side)
    certificate, key = consortium.root.write(startup, "root")
    certificate.rename(startup / "rootCA.pem")
    key.unlink()
    (startup / f"fed_{file or side}.json").write_text(json.dumps(plain))
    return open_kit(folder)
