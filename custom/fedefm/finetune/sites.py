"""Which classes the hospitals of a fine-tune job label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedefm.data.checks import check_sites
from fedefm.errors import DataError
from fedefm.finetune.presence import FILE_NAME, table_classes
from fedefm.finetune.settings import CLASSIFICATION


def agree_on_classes(folders: Mapping[str, Path], classes: Sequence[str] | None, task: str) -> tuple[str, ...]:
    """Check each hospital's folder and agree on the foreground classes.

    Args:
        folders: hospital to its folder.
        classes: the classes to use; None for all that the hospitals name.
        task: `segmentation`, or `classification`, where `labels.csv` may stand in place of masks.

    Raises:
        DataError: a folder cannot be used, or no class is named.
    """
    tables = {s: Path(f) / FILE_NAME for s, f in folders.items() if task == CLASSIFICATION}
    tables = {site: path for site, path in tables.items() if path.is_file()}
    masks = {site: folder for site, folder in folders.items() if site not in tables}
    found = {name for path in tables.values() for name in table_classes(path)}
    if masks:
        found |= set(check_sites(masks, classes if not tables else None))
    agreed = tuple(classes) if classes else tuple(sorted(found))
    if not agreed:
        raise DataError(f"{next(iter(tables.values()))}: no column for a class; add one with 1 and 0 in it")
    return agreed
