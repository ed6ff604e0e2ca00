"""RANZCR CLiP (Tang et al., 2021): chest radiographs with the lines and tubes in them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.draw import stroke_line
from fedefm.data.importers.files import Pictures, check_folder, open_picture, read_json_text, read_table
from fedefm.data.importers.labels import number_labels
from fedefm.data.importers.shapes import corners, paint
from fedefm.errors import DataError

WIDTH = 12.0
"""Pixels, of radiographs about 2500 wide: some 2 mm. The set has lines without a width."""
DEVICES = {
    "ETT": "endotracheal tube",
    "NGT": "nasogastric tube",
    "CVC": "central venous catheter",
    "Swan Ganz Catheter Present": "pulmonary artery catheter",
}
PARTLY = "image left out: train.csv says that a device is there which nobody drew"
_ID, _PATIENT = "StudyInstanceUID", "PatientID"


def read(source: Path, options: Options) -> Collection:
    """The annotated images; how well a line lies (normal, borderline, abnormal) is left aside.

    Raises:
        DataError: one of the tables is missing or wrong.
    """
    check_folder(source, "train.csv and train_annotations.csv")
    for name in ("train.csv", "train_annotations.csv"):
        if not (source / name).is_file():
            raise DataError(f"{source.name}: no {name} in it; give the folder of RANZCR CLiP that holds it")
    studies = {line[_ID]: line for line in read_table(source / "train.csv", (_ID, _PATIENT))}
    lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in read_table(source / "train_annotations.csv", (_ID, "label", "data")):
        lines[row[_ID]].append((_device(row["label"]), row["data"]))
    classes, number = number_labels(DEVICES.values(), options.classes)
    remarks = Counter[str]()
    frames = _frames(source, studies, lines, number, options.width or WIDTH, remarks)
    return Collection(classes, frames, remarks)


def _device(label: str) -> str:
    short = label.split(" - ")[0].strip()
    if short not in DEVICES:
        raise DataError(f"train_annotations.csv: label {label!r} is none of RANZCR CLiP's; correct it")
    return DEVICES[short]


def _frames(
    source: Path,
    studies: Mapping[str, Mapping[str, str]],
    lines: Mapping[str, list[tuple[str, str]]],
    number: dict[str, int],
    width: float,
    remarks: Counter[str],
) -> Iterator[Frame]:
    pictures, table = Pictures(source), source / "train_annotations.csv"
    for study, drawn in lines.items():
        if study not in studies:
            raise DataError(f"train_annotations.csv: {study} is not in train.csv; get both from one place")
        if _stated(studies[study]) - {device for device, _ in drawn}:
            remarks[PARTLY] += 1
            continue
        image = pictures.find(f"{study}.jpg", table)
        size = open_picture(image).size[::-1]
        where = f"{table.name}, {study}"
        shapes = [
            # The points count pixels, so that 0 is the middle of the first.
            (device, stroke_line(size, corners(read_json_text(data, where), 1, where) + 0.5, width))
            for device, data in drawn
        ]
        yield Frame(study, image, paint(size, shapes, number, remarks), studies[study][_PATIENT])


def _stated(study: Mapping[str, str]) -> set[str]:
    """The devices that a line of train.csv says are in the image."""
    return {_device(column) for column, value in study.items() if column not in (_ID, _PATIENT) and value == "1"}
