"""Finding and reading the files of a published layout; what is wrong is one line."""

import csv
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer
from PIL import Image, ImageOps, UnidentifiedImageError

from fedefm.data.readers import READERS, check_declared, ending_in, open_file, read_image, read_mask
from fedefm.errors import DataError

PICTURES = frozenset(ending for reader in READERS for ending in reader.endings if ending)
ANY = ("",)
_LEFT_BEHIND = ("thumbs.db", "desktop.ini", "ehthumbs.db")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|val|test)(?:ing|id|idation)?(?![a-z])", re.IGNORECASE)


def list_files(folder: Path, endings: Sequence[str] | frozenset[str] = PICTURES) -> Iterator[Path]:
    """The files below a folder with one of these endings, in order; what systems leave behind is passed over."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if any(part.startswith((".", "__MACOSX", "@eaDir")) for part in inside):
            continue
        name = path.name.lower()
        if name.endswith(tuple(endings)) and name not in _LEFT_BEHIND and path.is_file():
            yield path


def check_folder(source: Path, holds: str) -> None:
    """Refuse a source that is no folder.

    Raises:
        DataError: it is missing, a file or an archive.
    """
    if source.is_file():
        packed = source.suffix.lower() in (".zip", ".gz", ".tar", ".7z", ".rar")
        raise DataError(
            f"{source.name}: is {'an archive; unpack it and give the folder' if packed else 'a file; give the folder'}"
            f" that holds {holds}"
        )
    if not source.is_dir():
        raise DataError(f"{source}: no such folder; give the one that holds {holds}")


def split_in(path: str) -> str | None:
    """`train`, `val` or `test` where a path says so; the last word counts."""
    found = _SPLIT.findall(path)
    return found[-1].lower() if found else None


class Pictures:
    """The pictures of a source, found by the names that its annotations give them."""

    def __init__(self, source: Path):
        self._source = source
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in list_files(source):
            self._by_name[composed(path.name).casefold()].append(path)

    def find(self, name: str, near: Path) -> Path:
        """The picture that an annotation file means.

        Args:
            name: with or without folders, as the annotation has it.
            near: the annotation file; of several pictures of that name the one in the nearest folder is meant.

        Raises:
            DataError: there is none, or there are several equally near.
        """
        parts = PurePosixPath(composed(name).replace("\\", "/")).parts
        alike = self._by_name.get(parts[-1].casefold() if parts else "", [])
        found = [path for path in alike if self._is_meant(path, parts)]
        if not found:  # some systems do not tell small letters from capitals
            small = tuple(part.casefold() for part in parts)
            found = [path for path in alike if self._is_meant(path, small, casefold=True)]
        if not found and alike:
            raise DataError(
                f"{near.name}: picture {name!r} is nowhere in {self._source.name}; of that name there is "
                f"{alike[0].relative_to(self._source)}: correct the folder in the annotations, or move the picture"
            )
        if not found:
            raise DataError(
                f"{near.name}: picture {name!r} is nowhere in {self._source.name}; add it, or give its folder"
            )
        best = max(_common(path.parts, near.parts) for path in found)
        nearest = [path for path in found if _common(path.parts, near.parts) == best]
        if len(nearest) > 1:
            two = " and ".join(str(path.relative_to(self._source)) for path in nearest[:2])
            raise DataError(f"{near.name}: picture {name!r} may be {two}; keep one, or give the folder that holds one")
        return nearest[0]

    def _is_meant(self, path: Path, parts: Sequence[str], *, casefold: bool = False) -> bool:
        """Whether the name ends with the path below the source, or the path with the name: `a.png` may be anywhere."""
        text = composed(path.relative_to(self._source).as_posix())
        below = (text.casefold() if casefold else text).split("/")
        return _common(below[::-1], tuple(parts)[::-1]) == min(len(below), len(parts))


def composed(name: str) -> str:
    """Accents as one letter: one system writes them so, another as a letter and a mark."""
    return unicodedata.normalize("NFC", name)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    try:
        data = path.read_bytes()
        text = data.decode(json.detect_encoding(data))  # some editors write UTF-16
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: cannot be read as text ({_one_line(error)}); get it again") from error
    return read_json_text(text, path.name)


def read_json_text(text: str, where: str) -> Any:
    """A text in JSON.

    Raises:
        DataError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({_one_line(error)}); download or export it again") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            lines = list(table)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path.name}: cannot be read as a table ({type(error).__name__}); get it again") from error
    if missing := [column for column in columns if column not in (table.fieldnames or ())]:
        raise DataError(f"{path.name}: has no column {missing[0]!r}; it needs {', '.join(columns)}")
    return [{key: value or "" for key, value in line.items() if key} for line in lines]


def read_black_and_white(path: Path) -> Bool[np.ndarray, "h w"]:
    """A mask of black and one brighter value, in any format that is in use for it (GIF, PGM, BMP, PNG, TIFF).

    Raises:
        DataError: it cannot be read, or has more than two values.
    """
    grey = read_image(path).frames
    values = np.unique(grey)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        shown = ", ".join(f"{value:g}" for value in values[:4])
        raise DataError(f"{path.name}: has grey values {shown} where a mask of black and white was expected")
    if len(grey) > 1:
        raise DataError(f"{path.name}: has {len(grey)} frames where one mask was expected; save it as one picture")
    bright: Bool[np.ndarray, "h w"] = grey[0] > 0
    return bright


def open_picture(path: Path) -> Image.Image:
    """A raster picture, decoded, the right way up.

    Raises:
        DataError: it cannot be, or is absurdly large.
    """
    try:
        with Image.open(path) as picture:
            check_declared(path.name, (1, picture.height, picture.width))
            picture.load()
            return ImageOps.exif_transpose(picture).copy()
    except UnidentifiedImageError as error:
        raise DataError(f"cannot read {path.name}: not a picture of a known format; export it as PNG") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read {path.name}: damaged or cut off; get it again") from error


def read_labels(path: Path, image: Path) -> Integer[np.ndarray, "f h w"]:
    """The stored numbers of a mask file on the pixels of its image (see `read_mask`)."""
    try:
        open_file(image)
    except DataError:  # of a kind that only Pillow reads, which says nothing of where it lies
        return read_mask(path)
    return read_mask(path, image)


def ending_of(path: Path) -> str:
    """A file's extension in small letters; `.nii.gz` is one, and the numbers of a DICOM name are none."""
    return path.name[len(path.name) - len(ending_in(path)) :].lower()


def bare_name(path: Path) -> str:
    """A file's name without its extension."""
    return path.name[: len(path.name) - len(ending_of(path))]
