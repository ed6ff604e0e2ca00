"""The folder of the provisioning: who may open the CA's key and the kits there, and whose certificate ends soon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fedefm.doctor.certificates import dates
from fedefm.doctor.finding import Finding, failed, passed
from fedefm.kits.kit import KIT_FOLDERS, open_kit
from fedefm.kits.lay import loose

STATE = "state"


def is_authority(folder: Path) -> bool:
    """Whether `nvflare provision` keeps a consortium's CA here. A kit never counts: it must not choose its checks."""
    return (folder / STATE / "cert.json").is_file() and not (folder / "startup").exists()


def modes(folder: Path) -> Iterator[Finding]:
    """Only their owner may read the CA's key and the last kits; a key that others could read is no longer private."""
    for place in (folder / STATE, last_kits(folder)):
        open_ones = loose(place)
        for path in open_ones:
            text = f"{place.name}/{path}: open to group or others"
            yield failed("modes", text, f"run chmod -R go-rwx {place}; if others could read a key, make it anew")
        if not open_ones:
            yield passed("modes", f"{place.name}: its owner's alone")


def ends(folder: Path, now: datetime) -> Iterator[Finding]:
    """The end of the root's certificate and of each participant's."""
    kits = [open_kit(path) for path in sorted(last_kits(folder).iterdir()) if path.is_dir()]
    if not kits:
        yield failed(
            "certificate", f"{last_kits(folder).name}: holds no kit", "provision again with `nvflare provision`"
        )
    for number, kit in enumerate(kits):
        root, own = dates(kit, now)  # one line each
        if number == 0:
            yield root
        yield Finding(own.status, own.check, f"{kit.name}: {own.text}", own.remedy)


def last_kits(folder: Path) -> Path:
    """The newest folder of kits."""
    return max(folder.glob(KIT_FOLDERS))
