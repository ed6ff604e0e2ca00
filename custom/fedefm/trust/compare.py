"""What differs between the files that were signed and those that are there."""

from __future__ import annotations

from collections.abc import Sequence

from fedefm.errors import TrustError
from fedefm.trust.listing import Entry
from fedefm.trust.names import shown


def check_same(signed: Sequence[Entry], found: Sequence[Entry], remedy: str) -> None:
    """Refuse the first path, in sorted order, that is not as it was signed.

    Raises:
        TrustError: a file is missing, added, changed, or holds what was signed under another name.
    """
    wanted, present = ({one.path: one for one in entries} for entries in (signed, found))
    for path in sorted(wanted.keys() | present.keys()):
        if wanted.get(path) != present.get(path):
            raise TrustError(f"{shown(path)}: {_fault(wanted.get(path), present.get(path), signed, found)}; {remedy}")


def _fault(wanted: Entry | None, present: Entry | None, signed: Sequence[Entry], found: Sequence[Entry]) -> str:
    if present is None and wanted is not None:
        moved = [one.path for one in found if one.sha256 == wanted.sha256 and one not in signed]
        return f"missing, moved to {shown(moved[0])}" if moved else "missing"
    others = [one.path for one in signed if present and one.sha256 == present.sha256 and one != wanted]
    if wanted is None:
        return f"added, with the contents of {shown(others[0])}" if others else "added since the folder was signed"
    return f"swapped, it holds what was signed as {shown(others[0])}" if others else "changed since it was signed"
