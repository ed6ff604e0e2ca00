"""Label Studio's JSON export: polygons, brush strokes and vectors, in percent of the picture."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from fedefm.data.importers.brush_rle import decode_brush
from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.draw import fill_polygon, stroke_line
from fedefm.data.importers.files import PICTURES, Pictures, check_folder, list_files, open_picture, read_json
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

NOT_ANNOTATED = "task left out: nobody has annotated it"
SEVERAL = "task left out: it has several annotations and none is marked as ground truth"
_POLYGON, _BRUSH, _VECTOR = "polygonlabels", "brushlabels", "vectorlabels"
_NO_OUTLINE = ("rectanglelabels", "ellipselabels", "keypointlabels")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # put before the names of files that were uploaded


def read(source: Path, options: Options) -> Collection:
    """All annotated tasks of an export.

    Raises:
        DataError: there is no such export, or it is the shortened one (JSON-MIN).
        ConfigError: it has vectors and no width was given.
    """
    check_folder(source, "the JSON export and the pictures")
    path, tasks = _export(source)
    results = [result for task in tasks for result in _results(_annotation(task, Counter()))]
    labels = [label for result in results if result["type"] in (_POLYGON, _BRUSH, _VECTOR) for label in _names(result)]
    if not labels:
        raise DataError(f"{path.name}: no polygon, brush stroke or vector in it; draw the devices, then export")
    lines = sorted({label for result in results if result["type"] == _VECTOR for label in _names(result)})
    width = check_width(options.width, path.name, lines) if lines else 0.0
    classes, number = number_labels(labels, options.classes)
    remarks = Counter[str]()
    frames = _frames(path, tasks, Pictures(source), number, width, options, remarks)
    return Collection(classes, frames, remarks)


def _export(source: Path) -> tuple[Path, list[dict[str, Any]]]:
    for path in list_files(source, (".json",)):
        tasks = read_json(path)
        if not isinstance(tasks, list) or not tasks or not all(isinstance(task, dict) for task in tasks):
            continue
        if all("annotations" in task and isinstance(task.get("data"), dict) for task in tasks):
            return path, tasks
        if "annotator" in tasks[0] or "annotation_id" in tasks[0]:
            raise DataError(f'{path.name}: is the shortened export JSON-MIN; export as "JSON"')
    raise DataError(f'{source.name}: no JSON list of tasks in it; export as "JSON" from Label Studio')


def _annotation(task: Mapping[str, Any], remarks: Counter[str]) -> Mapping[str, Any] | None:
    """The annotation that counts; None where nobody made one, or nobody can tell which of several."""
    stated = task["annotations"] if isinstance(task["annotations"], list) else []
    made = [one for one in stated if isinstance(one, dict) and not one.get("was_cancelled")]
    if not made:
        remarks[NOT_ANNOTATED] += 1
        return None
    chosen = [one for one in made if one.get("ground_truth")] or made
    if len(chosen) > 1:
        remarks[SEVERAL] += 1
        return None
    return chosen[0]


def _results(annotation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The shapes of an annotation; relations, choices and texts are none."""
    results = annotation.get("result") if annotation else []
    results = results if isinstance(results, list) else []
    known = (_POLYGON, _BRUSH, _VECTOR, *_NO_OUTLINE)
    return [one for one in results if isinstance(one, dict) and one.get("type") in known]


def _names(result: Mapping[str, Any]) -> list[str]:
    value = result.get("value")
    names = value.get(result["type"]) if isinstance(value, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _frames(
    path: Path,
    tasks: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    number: dict[str, int],
    width: float,
    options: Options,
    remarks: Counter[str],
) -> Iterator[Frame]:
    for task in tasks:
        annotation = _annotation(task, remarks)
        if annotation is None:
            continue
        image = _picture(task, pictures, path)
        where = f"{path.name}, task {task.get('id')}"
        results = _results(annotation)
        try:
            shapes = [_shape(one, width, where) for one in results]
        except NoOutlineError:
            remarks[UNDRAWN] += 1
            continue
        sizes = {region.shape for _, region in shapes}
        if len(sizes) > 1:
            raise DataError(f"{where}: its shapes are of pictures of different sizes; export it again")
        size = sizes.pop() if sizes else open_picture(image).size[::-1]
        name = image.name.rsplit(".", 1)[0]
        yield Frame(name, image, paint(size, shapes, number, remarks), options.patient_of(name))


def _picture(task: Mapping[str, Any], pictures: Pictures, path: Path) -> Path:
    """The picture of a task: its data has an address whose last part is the file's name."""
    for value in task["data"].values():
        if not isinstance(value, str):
            continue
        address = urlsplit(value)
        name = PurePosixPath(unquote(parse_qs(address.query).get("d", [address.path])[0])).name
        if name.lower().endswith(tuple(PICTURES)):
            try:
                return pictures.find(name, path)
            except DataError:
                return pictures.find(_UPLOADED.sub("", name), path)
    raise DataError(f"{path.name}, task {task.get('id')}: its data names no picture; export the task with its image")


def _shape(one: Mapping[str, Any], width: float, where: str) -> Shape:
    if one["type"] in _NO_OUTLINE:
        raise NoOutlineError(where)
    value, names = one.get("value"), _names(one)
    if not isinstance(value, dict) or len(names) != 1 or one.get("image_rotation") or value.get("rotation"):
        raise DataError(f"{where}: a shape has no single label, or the picture was turned; correct it in Label Studio")
    size = picture_size(one.get("original_height"), one.get("original_width"), where)
    if one["type"] == _BRUSH:
        return names[0], decode_brush(value.get("rle", ()), size, where)
    scale = np.array([size[1], size[0]]) / 100
    if one["type"] == _POLYGON:
        return names[0], fill_polygon(size, corners(value.get("points"), 3, where) * scale)
    vertices = value.get("vertices")
    if not isinstance(vertices, list) or not all(isinstance(v, dict) and {"x", "y"} <= v.keys() for v in vertices):
        raise DataError(f"{where}: a vector has no vertices; export it again")
    points = corners([[v["x"], v["y"]] for v in vertices], 1, where) * scale
    return names[0], fill_polygon(size, points) if value.get("closed") else stroke_line(size, points, width)
