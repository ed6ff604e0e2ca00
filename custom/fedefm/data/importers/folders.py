"""Images here, masks there: pairs by patterns of their paths."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.files import ANY, check_folder, composed, list_files, split_in
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import BACKGROUND
from fedefm.errors import ConfigError, DataError

NO_MASK = "image without a mask, left out"
NO_IMAGE = "mask without an image, left out"
Matches = dict[tuple[str, ...], tuple[Path, str | None, str | None]]
"""What the stars stand for, to the file, its split and its patient."""
_PLACES = {r"\*": "([^/]*)", r"\{split\}": r"(?P<split>[^/]*)", r"\{patient\}": r"(?P<patient>[^/]+?)"}


def read(source: Path, options: Options) -> Collection:
    """Pairs of image and mask whose paths differ only in what the patterns spell out.

    Raises:
        ConfigError: a pattern or the classes are missing or do not fit each other.
        DataError: nothing fits the patterns.
    """
    check_folder(source, "the images and the masks")
    if options.images is None or options.masks is None:
        raise ConfigError(
            "folders: say where images and masks are, as in --images 'img/*.png' --masks 'mask/*_mask.png'"
        )
    if not options.classes:
        raise ConfigError("folders: say what the mask values mean, as in --classes 1=catheter,2=guidewire")
    if options.images.count("*") != options.masks.count("*") or "*" not in options.images:
        raise ConfigError("folders: --images and --masks need the same number of *, at least one; it pairs the files")
    images, masks = matched(source, options.images, "--images"), matched(source, options.masks, "--masks")
    check_pairs(source, images, masks)
    classes, remarks = name_values({0: BACKGROUND}, options.classes), Counter[str]()
    return Collection(classes, _frames(images, masks, options, remarks), remarks)


def check_pairs(source: Path, images: Matches, masks: Matches, *, telling: bool = True) -> None:
    """Refuse patterns by which no image has a mask.

    Args:
        source: the folder.
        images: of `matched`.
        masks: the same.
        telling: show what the stars stand for; names of an export may be those of patients.

    Raises:
        DataError: they have nothing in common.
    """
    if images.keys() & masks.keys():
        return
    image, mask = ("/".join(next(iter(found))) for found in (images, masks))
    where = f"; * stands for {image!r} in --images and for {mask!r} in --masks" if telling else ""
    remedy = "change the patterns until they are the same"
    if any(mask.startswith("/".join(key)) for key in images):
        remedy += "; if each mask is of one frame of a cine, save them as one stack, in NIfTI or TIFF"
    raise DataError(f"{source.name}: no image has a mask{where}, so {remedy}")


def matched(source: Path, pattern: str, option: str) -> Matches:
    """What the stars of a pattern stand for, to the file, its split and its patient.

    Raises:
        ConfigError: two files are the same to it. DataError: no file fits.
    """
    text = re.escape(pattern.removeprefix("./"))
    for place, group in _PLACES.items():
        text = text.replace(place, group)
    found: Matches = {}
    paths = {composed(path.relative_to(source).as_posix()): path for path in list_files(source, ANY)}
    expression = re.compile(composed(text))
    if not any(expression.fullmatch(inside) for inside in paths):  # as in *.png for the .PNG of another system
        expression = re.compile(composed(text), re.IGNORECASE)
    for inside, path in paths.items():
        match = expression.fullmatch(inside)
        if match:
            named = match.groupdict()
            key = match.groups()
            if key in found:
                raise ConfigError(f"{option}: {found[key][0].name} and {path.name} are the same to it; spell out more")
            found[key] = path, named.get("split"), named.get("patient")
    if not found:
        raise DataError(f"{source.name}: no picture fits {option} {pattern!r}; paths count from {source.name}/")
    return found


def _frames(
    images: Matches,
    masks: Matches,
    options: Options,
    remarks: Counter[str],
) -> Iterator[Frame]:
    remarks[NO_IMAGE] += len(masks.keys() - images.keys())
    for key, (image, split, patient) in images.items():
        if key not in masks:
            remarks[NO_MASK] += 1
            continue
        name = "-".join(part for part in key if part)
        yield Frame(name, image, masks[key][0], patient or options.patient_of(name), split_in(split or ""))
