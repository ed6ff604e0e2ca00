"""DCA1 (Cervantes-Sanchez et al., 2019): 134 coronary angiograms with vessels."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.files import check_folder, list_files, read_black_and_white
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import BACKGROUND
from fedefm.errors import DataError

NO_TRUTH = "image without its _gt.pgm, left out"


def read(source: Path, options: Options) -> Collection:
    """Every picture that has a truth beside it; each is a patient of its own.

    Raises:
        DataError: the layout is another one.
    """
    check_folder(source, "1.pgm and 1_gt.pgm")
    pictures = {path.relative_to(source).with_suffix("").as_posix(): path for path in list_files(source, (".pgm",))}
    if not any(name.endswith("_gt") for name in pictures):
        raise DataError(f"{source.name}: not DCA1's layout, no 1.pgm with 1_gt.pgm; give Database_134_Angiograms/")
    classes, remarks = name_values({0: BACKGROUND, 1: "vessel"}, options.classes), Counter[str]()
    return Collection(classes, _frames(pictures, remarks), remarks)


def _frames(pictures: dict[str, Path], remarks: Counter[str]) -> Iterator[Frame]:
    for name, image in pictures.items():
        if name.endswith("_gt"):
            continue
        if f"{name}_gt" not in pictures:
            remarks[NO_TRUTH] += 1
            continue
        mask = read_black_and_white(pictures[f"{name}_gt"]).astype(np.uint8)
        yield Frame(image.stem, image, mask, image.stem)
