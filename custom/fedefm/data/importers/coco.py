"""COCO instance annotations: polygons and run-length masks, by name of the category."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedefm.data.importers.coco_rle import decode_coco
from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.draw import fill_polygon
from fedefm.data.importers.files import Pictures, check_folder, list_files, read_json, split_in
from fedefm.data.importers.labels import number_labels
from fedefm.data.importers.shapes import UNDRAWN, NoOutlineError, Shape, corners, paint, picture_size
from fedefm.errors import DataError


@dataclass(frozen=True)
class CocoFile:
    """One annotation file.

    Attributes:
        path: where it is.
        images: its images.
        shapes: image number to its annotations.
        categories: number to name.
        split: by its name or folder.
    """

    path: Path
    images: Sequence[Mapping[str, Any]]
    shapes: Mapping[Any, Sequence[Mapping[str, Any]]]
    categories: Mapping[Any, str]
    split: str | None


def read(source: Path, options: Options) -> Collection:
    """All annotation files of a folder.

    Raises:
        DataError: there is none, or one contradicts itself.
    """
    check_folder(source, "the images and their JSON annotations")
    files = coco_files(source)
    if not files:
        raise DataError(
            f"{source.name}: no JSON file with images, annotations and categories in it; "
            "of another tool's export: fedefm data import --help lists the kinds"
        )
    return collect(files, source, options, options.classes)


def coco_files(source: Path) -> list[CocoFile]:
    """The COCO annotation files below a folder; other JSON files are passed over."""
    found = []
    for path in list_files(source, (".json",)):
        content = read_json(path)
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
            found.append(_checked(path, content, split_in(str(path.relative_to(source)))))
    return found


def collect(files: Sequence[CocoFile], source: Path, options: Options, wanted: Mapping[str, str]) -> Collection:
    """Annotation files to frames.

    Args:
        files: of one set.
        source: where the images are.
        options: for the patients.
        wanted: category to class name.
    """
    classes, number = number_labels([name for file in files for name in file.categories.values()], wanted)
    remarks = Counter[str]()
    return Collection(classes, _frames(files, Pictures(source), number, options, remarks), remarks)


def _checked(path: Path, content: Mapping[str, Any], split: str | None) -> CocoFile:
    images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
    try:
        names = {one["id"]: str(one["name"]).strip() for one in categories}
        known = {one["id"] for one in images if one["file_name"]}
        shapes = defaultdict(list)
        for one in annotations:
            shapes[one["image_id"]].append(one)
        strange = next((one for one in annotations if one["category_id"] not in names), None)
    except KeyError as error:
        raise DataError(f"{path.name}: an entry lacks {error}; export it as COCO instances") from error
    except TypeError as error:
        raise DataError(
            f"{path.name}: an entry is no object, or its id no number; export it as COCO instances"
        ) from error
    _check_single(path, "images", images)
    _check_single(path, "categories", categories)
    if strange is not None:
        raise DataError(
            f"{path.name}: annotation {strange.get('id')} is of category {strange['category_id']!r}, which "
            "categories does not list; export it again"
        )
    if lost := sorted(str(image) for image in shapes if image not in known):
        raise DataError(f"{path.name}: annotations name image {lost[0]}, which images does not list; export it again")
    return CocoFile(path, images, shapes, names, split)


def _check_single(path: Path, what: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an id that stands for two: what is annotated of the one would be the other's too."""
    counts = Counter(one["id"] for one in entries)
    if twice := [number for number, count in counts.items() if count > 1]:
        raise DataError(f"{path.name}: {what} has the id {twice[0]} twice; export it again")


def _frames(
    files: Sequence[CocoFile], pictures: Pictures, number: dict[str, int], options: Options, remarks: Counter[str]
) -> Iterator[Frame]:
    owner: dict[Path, Path] = {}
    for file in files:
        for entry in file.images:
            image = pictures.find(str(entry["file_name"]), file.path)
            if image in owner:
                raise DataError(
                    f"{image.name}: stands twice, in {owner[image].name} and {file.path.name}; "
                    "give a folder where one annotation file has it"
                )
            owner[image] = file.path
            where = f"{file.path.name}, {entry['file_name']}"
            size = picture_size(entry.get("height"), entry.get("width"), where)
            try:
                shapes = [_shape(one, file, size, where) for one in file.shapes.get(entry["id"], ())]
            except NoOutlineError:
                remarks[UNDRAWN] += 1
                continue
            name = str(Path(str(entry["file_name"]).replace("\\", "/")).with_suffix(""))
            mask = paint(size, shapes, number, remarks)
            unique = f"{file.split}-{name}" if file.split else name
            yield Frame(unique, image, mask, options.patient_of(name), file.split)


def _shape(one: Mapping[str, Any], file: CocoFile, size: tuple[int, int], where: str) -> Shape:
    place = f"{where}, annotation {one.get('id')}"
    outline = one.get("segmentation")
    if not outline:
        raise NoOutlineError(place)
    if not isinstance(outline, dict | list):
        raise DataError(f"{place}: its segmentation is neither polygons nor run lengths; export it again")
    parts = outline if isinstance(outline, list) else [outline]
    if all(isinstance(value, int | float) for value in parts):  # one polygon without a list around it
        parts = [parts]
    region = np.zeros(size, bool)
    for part in parts:
        region |= (
            decode_coco(part, size, place) if isinstance(part, dict) else fill_polygon(size, corners(part, 3, place))
        )
    return file.categories[one["category_id"]], region
