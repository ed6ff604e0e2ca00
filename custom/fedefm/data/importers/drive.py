"""DRIVE (Staal et al., 2004): retinal photographs with vessels, numbered by patient."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.files import check_folder, list_files, read_black_and_white, split_in
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import BACKGROUND
from fedefm.errors import DataError

NO_MANUAL = "image without 1st_manual, left out"


def read(source: Path, options: Options) -> Collection:
    """Vessels by the first observer.

    Raises:
        DataError: the layout is another one.
    """
    check_folder(source, "training/ and test/")
    parts = [part for part in ("training", "test") if (source / part / "images").is_dir()]
    if not parts:
        raise DataError(f"{source.name}: not DRIVE's layout, no training/images/; give the folder that holds training/")
    classes, remarks = name_values({0: BACKGROUND, 1: "vessel"}, options.classes), Counter[str]()
    return Collection(classes, _frames(source, parts, remarks), remarks)


def _frames(source: Path, parts: list[str], remarks: Counter[str]) -> Iterator[Frame]:
    for part in parts:
        masks = {_number(path): path for path in list_files(source / part / "1st_manual")}
        for image in list_files(source / part / "images"):
            number = _number(image)
            if number not in masks:
                remarks[NO_MANUAL] += 1
                continue
            yield Frame(image.stem, image, read_black_and_white(masks[number]).astype(np.uint8), number, split_in(part))


def _number(path: Path) -> str:
    found = re.match(r"\d+", path.name)
    if found is None:
        raise DataError(f"{path.name}: does not begin with the number of its image, as 21_training.tif does; rename it")
    return found[0]
