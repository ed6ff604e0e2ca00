"""ARCADE (Popov et al., 2024): coronary angiograms as COCO, vessel segments in one part and stenoses in the other."""

import re
from pathlib import Path

from fedefm.data.importers.coco import CocoFile, coco_files, collect
from fedefm.data.importers.collection import Collection, Options
from fedefm.data.importers.files import check_folder
from fedefm.errors import DataError

STENOSIS, VESSEL = "stenosis", "vessel"
_PARTS = {"stenosis": r"sten", "syntax": r"syntax|seg"}


def read(source: Path, options: Options) -> Collection:
    """One part of the set. Its 25 segments are one class, `vessel`, unless `--classes` says otherwise.

    Raises:
        DataError: the layout is another one, or holds both parts and none was named.
    """
    check_folder(source, "syntax/ or stenosis/, or seg_train/")
    files = coco_files(source)
    found = {part: [file for file in files if _part_of(file, source) == part] for part in _PARTS}
    parts = [part for part, there in found.items() if there]
    if not parts:
        raise DataError(
            f"{source.name}: not ARCADE's layout, no annotations of syntax or stenosis in it; "
            "other COCO files: fedefm data import coco"
        )
    if options.part is None and len(parts) > 1:
        raise DataError(f"{source.name}: holds stenosis and syntax, which label other things; add --part syntax")
    if options.part not in (None, *parts):
        raise DataError(f"{source.name}: holds {', '.join(parts)}, no {options.part!r}; name one of them with --part")
    chosen = found[options.part or parts[0]]
    labels = {name for file in chosen for name in file.categories.values()}
    return collect(chosen, source, options, options.classes or _plain(labels, options.part or parts[0]))


def _part_of(file: CocoFile, source: Path) -> str | None:
    """The part that a file belongs to: by the folder nearest to it that says so."""
    for name in reversed((source.name, *file.path.relative_to(source).parts)):
        for part, word in _PARTS.items():
            if re.search(rf"(?:^|_)(?:{word})", name.lower()):
                return part
    return None


def _plain(labels: set[str], part: str) -> dict[str, str]:
    """Both parts list all categories, but each has shapes of its own only."""
    if part == STENOSIS:
        return {label: STENOSIS if label == STENOSIS else "background" for label in labels}
    return {label: "background" if label == STENOSIS else VESSEL for label in labels}
