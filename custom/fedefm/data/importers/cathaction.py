"""CathAction (Huang et al., 2024): animal and phantom frames with NumPy masks, human frames with masks of "a tool"."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.files import bare_name, check_folder, list_files, split_in
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import BACKGROUND
from fedefm.errors import DataError

CLASSES = {0: BACKGROUND, 1: "catheter", 2: "guidewire"}  # which of 1 and 2 is which is provisional in the paper's code
TOOLS = {0: BACKGROUND, 255: "catheter|guidewire"}
"""Of the human frames: a pixel is of a tool, nobody says of which."""
NO_MASK = "image without a mask, left out"
_PAIRS = (("images", "masks"), ("img", "mask"), ("images", "labels"))
_MASKS = (".npy", ".png")
_NEAR = 10
"""Frame numbers further apart than this begin a new series."""


@dataclass(frozen=True)
class _Folder:
    part: str
    split: str
    images: Path
    masks: Path


def read(source: Path, options: Options) -> Collection:
    """One domain of the set.

    Raises:
        DataError: the layout is another one, or holds several domains and none was named.
    """
    check_folder(source, "animal_train/, phantom_train/, human_dataset_train/ or train/")
    found = _chosen(_folders(source), options.part, source)
    classes = name_values(TOOLS if found[0].part == "human" else CLASSES, options.classes)
    remarks = Counter[str]()
    return Collection(classes, _frames(found, remarks), remarks)


def _folders(source: Path) -> list[_Folder]:
    found = []
    for place in [source, *(path for path in sorted(source.rglob("*")) if path.is_dir())]:
        names = [name.lower() for name in (*place.relative_to(source).parts[::-1], source.name)]
        part = next((part for name in names for part in ("animal", "phantom", "human") if part in name), "all")
        pair = next(((a, b) for a, b in _PAIRS if (place / a).is_dir() and (place / b).is_dir()), None)
        split = split_in(names[0])
        if pair and split:
            found.append(_Folder(part, split, place / pair[0], place / pair[1]))
    return found


def _chosen(found: Sequence[_Folder], part: str | None, source: Path) -> list[_Folder]:
    parts = sorted({folder.part for folder in found})
    if not parts:
        raise DataError(
            f"{source.name}: not CathAction's layout, no *_train/ or *_test/ with images/ and masks/ in it; "
            "other images and masks: fedefm data import folders"
        )
    if part is None and len(parts) > 1:
        raise DataError(f"{source.name}: holds {', '.join(parts)}; each is a silo of its own, so add --part {parts[0]}")
    if part is not None and part not in parts:
        raise DataError(f"{source.name}: holds {', '.join(parts)}, no {part!r}; name one of them with --part")
    return [folder for folder in found if part in (None, folder.part)]


def _frames(found: Sequence[_Folder], remarks: Counter[str]) -> Iterator[Frame]:
    for folder in found:
        masks = {bare_name(path).removesuffix("_mask"): path for path in list_files(folder.masks, _MASKS)}
        names = {bare_name(path): path for path in list_files(folder.images)}
        series = series_of(list(names))
        for name, image in names.items():
            if name not in masks:
                remarks[NO_MASK] += 1
                continue
            patient = f"{folder.part}-{folder.split}-{series[name]}"
            yield Frame(name, image, masks[name], patient, folder.split)


def series_of(names: Sequence[str]) -> dict[str, str]:
    """The series that each frame belongs to: same beginning, numbers without a wide gap.

    Neighbours of one video look alike; they must not be parted between training and test.

    Args:
        names: such as `ani_00000`; one without a number is a series of its own.
    """
    numbered: dict[str, list[tuple[int, str]]] = {}
    series = {}
    for name in names:
        found = re.fullmatch(r"(.*?)(\d+)", name)
        if found is None:
            series[name] = name
        else:
            numbered.setdefault(found[1], []).append((int(found[2]), name))
    for frames in numbered.values():
        frames.sort()
        first, last = frames[0][1], frames[0][0]
        for number, name in frames:
            first, last = (name if number - last > _NEAR else first), number
            series[name] = first
    return series
