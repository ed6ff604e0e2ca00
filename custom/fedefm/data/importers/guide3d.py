"""Guide3D (Jianu et al., 2024): pairs of videos of a phantom, guidewires as lines of points."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedefm.data.importers.collection import Collection, Frame, Options
from fedefm.data.importers.draw import stroke_line
from fedefm.data.importers.files import Pictures, check_folder, list_files, open_picture, read_json
from fedefm.data.importers.labels import number_labels
from fedefm.data.importers.shapes import corners, paint
from fedefm.errors import DataError

LABEL = "guidewire"
WIDTH = 2.0  # as its authors draw it
_CAMERAS = ("cameraA", "cameraB", "camera1", "camera2")


def read(source: Path, options: Options) -> Collection:
    """Both cameras; one task is one patient, for the two look at the same wire at the same time.

    Raises:
        DataError: there is no such JSON file, or it has splines in place of points.
    """
    check_folder(source, "raw.json and the frames")
    path, tasks = _annotations(source)
    classes, number = number_labels([LABEL], options.classes)
    remarks = Counter[str]()
    frames = _frames(path, tasks, Pictures(source), number, options.width or WIDTH, remarks)
    return Collection(classes, frames, remarks)


def _annotations(source: Path) -> tuple[Path, list[dict[str, Any]]]:
    splines = None
    for path in list_files(source, (".json",)):
        tasks = read_json(path)
        if not isinstance(tasks, list) or not all(isinstance(task, dict) and "frames" in task for task in tasks):
            continue
        if any(_views(frame) for task in tasks for frame in task["frames"]):
            return path, tasks
        splines = splines or path
    if splines is not None:
        raise DataError(f"{splines.name}: its frames have no points (splines?); take Guide3D's annotations/raw.json")
    raise DataError(f"{source.name}: no JSON list of tasks with frames in it; add Guide3D's annotations/raw.json")


def _views(frame: Any) -> list[tuple[str, Any]]:
    """Picture and points of each camera."""
    if not isinstance(frame, dict):
        return []
    views = [frame[camera] for camera in _CAMERAS if isinstance(frame.get(camera), dict)]
    return [
        (view["image"], view["points"]) for view in views if isinstance(view.get("image"), str) and "points" in view
    ]


def _frames(
    path: Path,
    tasks: list[dict[str, Any]],
    pictures: Pictures,
    number: dict[str, int],
    width: float,
    remarks: Counter[str],
) -> Iterator[Frame]:
    for task in tasks:
        for frame in task["frames"]:
            for name, points in _views(frame):
                image = pictures.find(name, path)
                size = open_picture(image).size[::-1]
                # The points count pixels, so that 0 is the middle of the first.
                line = [(LABEL, stroke_line(size, corners(points, 1, f"{path.name}, {name}") + 0.5, width))]
                mask = paint(size, line if points else [], number, remarks)
                yield Frame(name.rsplit(".", 1)[0], image, mask, str(task.get("task") or name.split("/")[0]))
