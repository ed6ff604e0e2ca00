"""Whose a DICOM file is, by its header; no identifier is kept, but a hash with a salt that ends with the process."""

import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.dicom_header import read_header
from fedefm.data.formats.dicom import Dicom
from fedefm.data.readers import open_file
from fedefm.errors import DataError

_PATIENT_ID, _STUDY = 0x0010_0020, 0x0020_000D
_NOBODY = re.compile(r"(?:anon\w*|unknown|none|null|n/?a|test|xxx*|de-?identified|removed|[0.\-_ ]*)", re.IGNORECASE)
"""What tools write in place of every patient's identifier."""


@dataclass(frozen=True)
class Identity:
    """Hashes of what a header says; None where it says nothing, or what every file of some tool says."""

    patient: bytes | None = None
    study: bytes | None = None


NOBODY = Identity()


def identity_of(path: Path, salt: bytes) -> Identity:
    """Read it from a file of any format; only DICOM says anything.

    Args:
        path: an image.
        salt: drawn anew for each look at a folder, so that no hash outlives it.

    Raises:
        DataError: the file cannot be read.
    """
    if not isinstance(open_file(path), Dicom):
        return NOBODY
    try:
        header = read_header(path)
    except OSError as error:
        raise DataError(f"cannot open {path.name}: {error.strerror}; check its permissions") from error
    return Identity(_hash(header.text(_PATIENT_ID), salt, "patient"), _hash(header.text(_STUDY), salt, "study"))


def _hash(value: str, salt: bytes, kind: str) -> bytes | None:
    plain = value.strip().casefold()
    return None if _NOBODY.fullmatch(plain) else hmac.digest(salt, f"{kind}\0{plain}".encode(), "sha256")[:16]
