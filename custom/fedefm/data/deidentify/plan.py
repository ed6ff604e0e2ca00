"""What is to be done with an export: its files in order, each with its mask where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedefm.data.folder import is_clutter
from fedefm.data.importers.collection import Options
from fedefm.data.importers.files import check_folder
from fedefm.data.importers.folders import Matches, check_pairs, matched
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import BACKGROUND
from fedefm.errors import ConfigError, DataError

CLASSES: Mapping[int, str] = {0: BACKGROUND, 1: "catheter", 2: "guidewire"}
"""Of an export without masks, whose annotation is yet to come."""


@dataclass(frozen=True)
class Plan:
    """An export.

    Attributes:
        source: its folder.
        files: that may be images, by their paths below the source, in order.
        masks: of an image's path, its mask.
        named: images that the patterns name; others must be DICOM.
        lonely: masks without an image.
        classes: mask value to class name.
    """

    source: Path
    files: tuple[str, ...]
    masks: Mapping[str, Path] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    lonely: frozenset[str] = frozenset()
    classes: Mapping[int, str] = field(default_factory=lambda: CLASSES)


def make_plan(source: Path, options: Options) -> Plan:
    """Look through an export; no file is opened.

    Args:
        source: its folder.
        options: patterns of images and masks and the classes, as of the importers' kind `folders`; without patterns
            every DICOM file is an image without a mask.

    Raises:
        ConfigError: a pattern without the other or without classes. DataError: the folder is none, or is empty.
    """
    check_folder(source, "the export")
    files = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and not path.is_symlink() and not _is_left_behind(path.relative_to(source))
    }
    if not files:
        raise DataError(f"{source}: holds no file; give the folder of the export")
    classes = name_values({0: BACKGROUND}, options.classes) if options.classes else dict(CLASSES)
    pictures = matched(source, options.images, "--images") if options.images else {}
    images = _below(source, pictures)
    if options.masks is None:
        return Plan(source, tuple(sorted(files)), named=frozenset(images.values()), classes=classes)
    if options.images is None or not options.classes:
        raise ConfigError("--masks: needs --images and --classes too, as in fedefm data import folders")
    if options.images.count("*") != options.masks.count("*"):
        raise ConfigError("--images and --masks need the same number of *; it pairs the files")
    drawn = matched(source, options.masks, "--masks")
    check_pairs(source, pictures, drawn, telling=False)
    masks = _below(source, drawn)
    paired = {images[key]: source / masks[key] for key in images.keys() & masks.keys()}
    lonely = frozenset(masks[key] for key in masks.keys() - images.keys())
    others = files - set(masks.values())
    return Plan(source, tuple(sorted(others | lonely)), paired, frozenset(images.values()), lonely, classes)


def _below(source: Path, found: Matches) -> dict[tuple[str, ...], str]:
    return {key: path.relative_to(source).as_posix() for key, (path, *_) in found.items()}


def _is_left_behind(inside: Path) -> bool:
    return any(is_clutter(Path(part)) for part in inside.parts)
