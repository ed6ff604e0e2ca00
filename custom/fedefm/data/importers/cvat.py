"""CVAT's own export, "CVAT for images 1.1": polygons, lines and brushed masks in annotations.xml."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool

from fedefm.data.importers.coco_rle import decode_runs
from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.draw import fill_polygon, stroke_line
from fedefm.data.importers.files import Pictures, check_folder, list_files, split_in
from fedefm.data.importers.labels import number_labels
from fedefm.data.importers.shapes import (
    UNDRAWN,
    NoOutlineError,
    Shape,
    check_width,
    corners,
    paint,
    picture_size,
)
from fedefm.errors import DataError

_SHAPES = ("polygon", "polyline", "mask")
_NO_OUTLINE = ("box", "ellipse", "points", "cuboid", "skeleton")


def read(source: Path, options: Options) -> Collection:
    """All images of an export. Shapes are drawn from the lowest layer (`z_order`) to the highest.

    Raises:
        DataError: there is no annotations.xml, or it is of a video.
        ConfigError: it has lines and no width was given.
    """
    check_folder(source, "annotations.xml and images/")
    roots = [(path, _root(path)) for path in list_files(source, (".xml",))]
    images = [(path, image) for path, root in roots for image in root.iter("image")]
    if not images:
        raise DataError(f'{source.name}: no annotations.xml with images in it; export as "CVAT for images 1.1"')
    shapes = [shape for _, image in images for shape in image if shape.tag in _SHAPES]
    lines = sorted({_label(shape) for shape in shapes if shape.tag == "polyline"})
    width = check_width(options.width, images[0][0].name, lines) if lines else 0.0
    classes, number = number_labels(_labels(images), options.classes)
    remarks = Counter[str]()
    frames = _frames(images, Pictures(source), number, width, options, remarks)
    return Collection(classes, frames, remarks)


def _root(path: Path) -> ElementTree.Element:
    try:
        text = path.read_bytes()
        plain = text.replace(b"\0", b"")  # of UTF-16 too
        if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:  # CVAT writes none; they can make a small file huge
            raise DataError(f"{path.name}: declares a document type, which CVAT's exports do not; export it again")
        root = ElementTree.fromstring(text)  # noqa: S314, without entities there is nothing to expand
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path.name}: not valid XML ({error}); export it again") from error
    if root.find("track") is not None:
        raise DataError(f'{path.name}: is "CVAT for video"; export the task as "CVAT for images 1.1"')
    return root


def _labels(images: Sequence[tuple[Path, ElementTree.Element]]) -> list[str]:
    """Every label that a shape has, in order of the first."""
    found = dict.fromkeys(_label(shape) for _, image in images for shape in image if shape.tag in _SHAPES)
    if not found:
        raise DataError(f"{images[0][0].name}: no polygon, polyline or mask in it; draw the devices, then export")
    return list(found)


def _label(shape: ElementTree.Element) -> str:
    return shape.get("label", "").strip()


def _frames(
    images: Sequence[tuple[Path, ElementTree.Element]],
    pictures: Pictures,
    number: dict[str, int],
    width: float,
    options: Options,
    remarks: Counter[str],
) -> Iterator[Frame]:
    for path, entry in images:
        name = entry.get("name", "")
        where = f"{path.name}, {name}"
        image = pictures.find(name, path)
        size = picture_size(entry.get("height"), entry.get("width"), where)
        drawn = (shape for shape in entry if shape.get("outside") != "1")
        layers = sorted(drawn, key=lambda shape: _whole(shape, "z_order", where, 0))
        try:
            shapes = [_shape(one, size, width, where) for one in layers if one.tag in (*_SHAPES, *_NO_OUTLINE)]
        except NoOutlineError:
            remarks[UNDRAWN] += 1
            continue
        stem = str(Path(name).with_suffix(""))
        split = split_in(entry.get("subset", ""))
        yield Frame(stem, image, paint(size, shapes, number, remarks), options.patient_of(stem), split)


def _shape(one: ElementTree.Element, size: tuple[int, int], width: float, where: str) -> Shape:
    place = f"{where}, {one.tag} {_label(one)!r}"
    if one.tag in _NO_OUTLINE:
        raise NoOutlineError(place)
    if one.tag == "mask":
        return _label(one), _mask(one, size, place)
    try:
        pairs = [[float(value) for value in pair.split(",")] for pair in one.get("points", "").split(";")]
    except ValueError as error:
        raise DataError(f"{place}: its points are not pairs of numbers; export it again") from error
    if one.tag == "polygon":
        return _label(one), fill_polygon(size, corners(pairs, 3, place))
    return _label(one), stroke_line(size, corners(pairs, 1, place), width)


def _mask(one: ElementTree.Element, size: tuple[int, int], place: str) -> Bool[np.ndarray, "h w"]:
    """A brushed mask: runs of 0 and 1 in turn along the rows of its own box."""
    left, top, columns, rows = (_whole(one, key, place, None) for key in ("left", "top", "width", "height"))
    if min(left, top) < 0 or top + rows > size[0] or left + columns > size[1]:
        raise DataError(f"{place}: its box lies outside the picture; export it again")
    try:
        runs = [int(run) for run in one.get("rle", "").split(",")]
    except ValueError as error:
        raise DataError(f"{place}: its run lengths are no whole numbers; export it again") from error
    region = np.zeros(size, bool)
    region[top : top + rows, left : left + columns] = decode_runs(runs, (rows, columns), place)
    return region


def _whole(one: ElementTree.Element, key: str, place: str, default: int | None) -> int:
    try:
        return int(one.get(key, "" if default is None else str(default)))
    except ValueError as error:
        raise DataError(f"{place}: its {key} is no whole number; export it again") from error
