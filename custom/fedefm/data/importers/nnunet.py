"""nnU-Net's raw data, version 2: imagesTr, labelsTr and a dataset.json that goes from name to number."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.files import check_folder, read_json
from fedefm.data.importers.labels import name_values
from fedefm.data.manifest import FILE_NAME
from fedefm.errors import DataError

NO_LABEL = "image without a label map, left out"
FOLDS = "splits_final.json"
"""Of nnU-Net's cross-validation; where it lies in the raw folder, its first fold says which cases are validation."""


def read(source: Path, options: Options) -> Collection:
    """Images of one channel with whole label maps.

    Raises:
        DataError: the folder or its dataset.json is another one's, has several channels or regions.
    """
    check_folder(source, f"imagesTr/, labelsTr/ and {FILE_NAME}")
    content = read_json(_description(source))
    values, ending = _values(content), str(content.get("file_ending", ".png"))
    channels = content.get("channel_names") or content.get("modality") or {"0": "grey"}
    if not isinstance(channels, dict | list):
        raise DataError(f"{FILE_NAME}: its channel_names are no list; export it again")
    if len(channels) != 1:
        raise DataError(
            f"{FILE_NAME}: has {len(channels)} channels; an image is one grey picture, so export one channel"
        )
    if not (source / "imagesTr").is_dir() or not (source / "labelsTr").is_dir():
        raise DataError(f"{source.name}: imagesTr/ and labelsTr/ are missing; give the raw folder DatasetNNN_X")
    classes, remarks = name_values(values, options.classes), Counter[str]()
    return Collection(classes, _frames(source, ending, options, remarks), remarks)


def _description(source: Path) -> Path:
    path = source / FILE_NAME
    if path.is_file():
        return path
    inside = sorted(folder.name for folder in source.glob("Dataset*_*") if folder.is_dir())
    hint = f"; give one of {', '.join(inside[:3])}" if inside else "; give the raw folder DatasetNNN_X"
    raise DataError(f"{source.name}: no {FILE_NAME} in it{hint}")


def _values(content: Any) -> dict[int, str]:
    if isinstance(content, dict) and "classes" in content:
        raise DataError(f"{FILE_NAME}: this is a silo's, not nnU-Net's; it needs no import, run fedefm data check")
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise DataError(f"{FILE_NAME}: has no labels, so it is not nnU-Net's; see fedefm data import --help")
    if all(str(key).isdecimal() for key in labels):  # version 1 went from number to name
        labels = {str(name): int(value) for value, name in labels.items()}
    return {_value(name, value): str(name) for name, value in labels.items()}


def _value(name: str, value: Any) -> int:
    if isinstance(value, list):
        raise DataError(f"{FILE_NAME}: {name!r} is a region of several labels; write one number for each label")
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{FILE_NAME}: the label {name!r} has no whole number but {value!r}; correct it")
    return value


def _frames(source: Path, ending: str, options: Options, remarks: Counter[str]) -> Iterator[Frame]:
    tested, validated = (source / "labelsTs").is_dir(), _validated(source / FOLDS)
    for part, split in (("Tr", "train"), ("Ts", "test")) if tested else (("Tr", None),):
        for image in sorted((source / f"images{part}").glob(f"*_0000{ending}")):
            case = image.name.removesuffix(f"_0000{ending}")
            mask = source / f"labels{part}" / f"{case}{ending}"
            if not mask.is_file():
                remarks[NO_LABEL] += 1
                continue
            yield Frame(case, image, mask, options.patient_of(case), "val" if tested and case in validated else split)


def _validated(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    folds = read_json(path)
    try:
        return {str(case) for case in folds[0]["val"]}
    except (LookupError, TypeError) as error:
        raise DataError(f"{path.name}: is no list of folds with train and val; correct or remove it") from error
