"""Which files of a hospital's folder are images, and which mask belongs to which image."""

import re
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.readers import check_name, stem_of
from fedefm.errors import DataError

IMAGES = "images"
MASKS = "masks"
UNLABELLED = "unlabelled"
"""Images without masks, for hospitals that have some."""
# Left behind by file managers, network drives and DICOM media; never pictures.
_CLUTTER = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "dicomdir",
        "lockfile",
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
    }
    | {"@recycle", "lost+found", "system volume information"}
)


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file."""

    stem: str
    image: Path
    mask: Path

    def check_shapes(self, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
        """Compare (frames, rows, columns) of the two.

        Raises:
            DataError: where they differ.
        """
        if image != mask:
            raise DataError(
                f"{self.image.name} is {_size(image)} but its mask {self.mask.name} is {_size(mask)}; "
                "export the mask on the pixels and frames of its image"
            )


def list_images(folder: Path) -> dict[str, Path]:
    """The image files of a hospital's folder by stem, in order of the stem.

    Raises:
        DataError: where the folder, its `images/` or every image is missing, or two images share a stem.
    """
    return _by_stem(Path(folder), IMAGES)


def list_masks(folder: Path) -> dict[str, Path]:
    """The mask files of a hospital's folder by stem; see `list_images`."""
    return _by_stem(Path(folder), MASKS)


def list_unlabelled(folder: Path) -> dict[str, Path]:
    """The image files without masks of a hospital's folder by stem; see `list_images`."""
    return _by_stem(Path(folder), UNLABELLED)


def list_pairs(folder: Path) -> tuple[Pair, ...]:
    """Every image of a hospital's folder with its mask, in order of the stem.

    Raises:
        DataError: where an image has no mask; see also `list_images`.
    """
    images, masks = list_images(folder), list_masks(folder)
    if lonely := [path for stem, path in images.items() if stem not in masks]:
        raise DataError(
            f"{Path(folder).name}: {IMAGES}/{lonely[0].name} has no mask ({len(lonely)} such); "
            f"{_remedy(stem_of(lonely[0]), masks)} or remove the image"
        )
    return tuple(Pair(stem, path, masks[stem]) for stem, path in images.items())


def _remedy(stem: str, masks: dict[str, Path]) -> str:
    """What to do about a missing mask."""
    near = next((path.name for name, path in masks.items() if re.match(re.escape(stem) + r"[^0-9A-Za-z]", name)), None)
    return f"add {MASKS}/{stem}.png" if near is None else f"give {MASKS}/{near} the name of its image"


def is_clutter(path: Path) -> bool:
    """Whether a file is no picture, but was left behind by a file manager or a medium."""
    return path.name.startswith(".") or path.name.lower() in _CLUTTER


def _by_stem(folder: Path, part: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds {IMAGES}/ and {MASKS}/")
    if not (folder / part).is_dir():
        hint = f"the layout is {IMAGES}/, {MASKS}/ and dataset.json"
        hint += ", which fedefm data prepare or import makes of an export"
        if part != UNLABELLED and (folder / UNLABELLED).is_dir():
            hint = f"annotate {UNLABELLED}/, or draw on it: fedefm data synth --background {folder} --out NEW"
        raise DataError(f"{folder.name}: no folder {part}/; {hint}")
    found: dict[str, Path] = {}
    for path in sorted((folder / part).iterdir()):
        if is_clutter(path):
            continue
        check_name(path)
        if path.is_dir():
            raise DataError(f"{folder.name}: {part}/{path.name} is a folder; put the files directly into {part}/")
        twin = found.setdefault(stem_of(path), path)
        if twin is not path:
            raise DataError(f"{folder.name}: {part}/{twin.name} and {path.name} share one stem; keep one of them")
    if not found:
        raise DataError(f"{folder.name}: {part}/ is empty; put {'masks' if part == MASKS else 'images'} into it")
    return dict(sorted(found.items()))


def _size(shape: tuple[int, ...]) -> str:
    frames, rows, columns = shape
    return f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
