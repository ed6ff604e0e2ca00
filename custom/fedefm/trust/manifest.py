"""The manifest: who signed which files of which folder. Read as hostile bytes, written as one exact text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedefm.errors import TrustError
from fedefm.trust.exact import canonical, strict_json
from fedefm.trust.kinds import KINDS, MANIFEST_NAME, MAX_FILES
from fedefm.trust.listing import Entry
from fedefm.trust.names import check_path, check_twins

VERSION = 1
MAX_MANIFEST_BYTES = 4_000_000
_FIELDS = {"version", "kind", "subject", "made", "serial", "claims", "certificate", "files"}
_MADE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SERIAL = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SignedManifest:
    """What was signed.

    Attributes:
        kind: `kit` or `job`.
        subject: name of the participant, or of the job.
        made: when, in UTC, as `2026-01-31T12:00:00Z`.
        serial: 32 hexadecimal digits, drawn for each signature: tells a job signed twice from one submitted twice.
        certificate: of the signer, PEM.
        files: sorted by path.
        claims: further facts that the signature binds, as plain JSON values; a job's `meta.json` for one.
    """

    kind: str
    subject: str
    made: str
    serial: str
    certificate: str
    files: tuple[Entry, ...]
    claims: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The one text that is signed."""
        plain = {name: getattr(self, name) for name in _FIELDS - {"version", "files", "claims"}}
        plain |= {"version": VERSION, "claims": dict(self.claims)}
        plain["files"] = [{"path": one.path, "sha256": one.sha256, "size": one.size} for one in self.files]
        return canonical(plain)


def parse_manifest(data: bytes) -> SignedManifest:
    """Read a manifest from bytes that nobody vouches for yet.

    Raises:
        TrustError: not exactly what `to_bytes` writes, or a value that no manifest holds.
    """
    plain = _as_object(data)
    if plain.get("version") != VERSION or isinstance(plain["version"], bool):
        raise _wrong(f"version {plain.get('version')!r:.20} is unknown; update fedefm")
    if set(plain) != _FIELDS:
        raise _wrong(f"must hold exactly {', '.join(sorted(_FIELDS))}")
    _check_values(plain)
    manifest = SignedManifest(
        **{name: plain[name] for name in _FIELDS - {"version", "files"}},
        files=tuple(_file(one) for one in plain["files"]),
    )
    paths = [one.path for one in manifest.files]
    if paths != sorted(paths):
        raise _wrong("files are not sorted by path")
    check_twins(paths)
    if manifest.to_bytes() != data:
        raise _wrong("not in the exact form that is signed")
    return manifest


def _as_object(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST_BYTES:
        raise _wrong(f"more than {MAX_MANIFEST_BYTES} bytes")
    try:
        plain = strict_json(data)
    except ValueError as error:
        raise _wrong(f"not readable ({type(error).__name__})") from error
    if not isinstance(plain, dict):
        raise _wrong("not an object")
    return plain


def _check_values(plain: dict[str, Any]) -> None:
    subject = plain["subject"]
    good = {
        "kind": plain["kind"] in tuple(KINDS),
        "subject": isinstance(subject, str) and 0 < len(subject) <= 200 and subject.isprintable(),
        "made": _matches(_MADE, plain["made"]),
        "serial": _matches(_SERIAL, plain["serial"]),
        "claims": isinstance(plain["claims"], dict),
        "certificate": isinstance(plain["certificate"], str) and len(plain["certificate"]) <= 16_000,
        "files": isinstance(plain["files"], list) and 0 < len(plain["files"]) <= MAX_FILES,
    }
    for name, right in good.items():
        if not right:
            raise _wrong(f"'{name}' has a value that no manifest holds")


def _file(plain: Any) -> Entry:
    right = (
        isinstance(plain, dict)
        and set(plain) == {"path", "sha256", "size"}
        and isinstance(plain["path"], str)
        and _matches(_SHA256, plain["sha256"])
        and type(plain["size"]) is int
        and plain["size"] >= 0
    )
    if not right:
        raise _wrong("'files' holds an entry that is no path, SHA-256 and size")
    return Entry(check_path(plain["path"]), plain["size"], plain["sha256"])


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _wrong(text: str) -> TrustError:
    return TrustError(f"{MANIFEST_NAME}: {text}; have the folder signed again")
