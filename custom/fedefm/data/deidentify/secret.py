"""Names that say nothing: made of a secret of the hospital, which alone can make them again."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from fedefm.errors import ConfigError
from fedefm.files import told

FILE = "salt"
_BYTES = 32
_UID_BITS = 128  # of a UUID, as PS3.5 B.2 builds a UID from one


@dataclass(frozen=True)
class Secret:
    """A salt. The same salt gives the same names, in every export and in every order."""

    salt: bytes

    def name(self, kind: str, value: str, letters: int) -> str:
        """A name of so many hexadecimal letters (HMAC-SHA256).

        Args:
            kind: what the value is; values of two kinds never get the same name by being equal.
            value: patient, file or other identifier.
            letters: of the name, at most 64.
        """
        return hmac.new(self.salt, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:letters]

    def uid(self, value: str) -> str:
        """A DICOM UID in place of another; equal ones stay equal, so that references still hold."""
        number = int(self.name("uid", value, 64), 16) % (1 << _UID_BITS)
        return f"2.25.{number}"


def read_secret(folder: Path) -> Secret:
    """The salt of a hospital; made when it is first wanted, and readable by its owner only.

    Args:
        folder: the hospital's own; made, with mode 0700, where it is missing.

    Raises:
        ConfigError: it cannot be written, or the file holds something else.
    """
    path = folder / FILE
    with told(folder):
        folder.mkdir(0o700, parents=True, exist_ok=True)
    if not path.exists():
        with told(path):
            # exclusive, so that of two processes one makes the salt and the other reads it
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, secrets.token_hex(_BYTES).encode())
            os.fsync(descriptor)
            os.close(descriptor)
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__}); restore it from your backup") from error
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigError(f"{path}: holds no salt; restore it from your backup, or remove it to get other names")
    return Secret(bytes.fromhex(text))


def content_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
