"""Tiny versions of published data sets, each in its published layout, with the masks that an import must give."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

ROWS, COLUMNS = 24, 32


@dataclass(frozen=True)
class Layout:
    """A source and what its import gives.

    Attributes:
        source: the folder.
        arguments: of the command beside kind, source and destination.
        classes: mask value to name, as `dataset.json` has them.
        masks: file name of each mask without ending, and the mask.
        split: patient to split where the source says so; None where it does not.
    """

    source: Path
    classes: Mapping[str, str]
    masks: Mapping[str, np.ndarray]
    arguments: tuple[str, ...] = ()
    split: Mapping[str, str] | None = None


@dataclass
class _Drawing:
    """Random pictures, and a rectangle that differs from frame to frame."""

    source: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def picture(self, path: Path, mode: str = "L") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (ROWS, COLUMNS, 3) if mode == "RGB" else (ROWS, COLUMNS)
        Image.fromarray(self.source.integers(0, 256, shape, dtype=np.uint8)).save(path)

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom; the last two are outside."""
        left, top = self.source.integers(1, 8, 2)
        return int(left), int(top), int(left + self.source.integers(3, 20)), int(top + self.source.integers(3, 12))


def boxed(*boxes: tuple[tuple[int, int, int, int], int]) -> np.ndarray:
    """A mask with rectangles of values, the later over the earlier."""
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    for (left, top, right, bottom), value in boxes:
        mask[top:bottom, left:right] = value
    return mask


def near(points: list[tuple[float, float]], width: float) -> np.ndarray:
    """Pixels whose centre is at most half a width from a line, by the definition: every pixel, every point of it."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS] + 0.5
    mask = np.zeros((ROWS, COLUMNS), bool)
    for (x0, y0), (x1, y1) in pairwise(points):
        for t in np.linspace(0, 1, 2001):
            x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
            mask |= (columns - x) ** 2 + (rows - y) ** 2 <= width**2 / 4
    return mask


def corners(box: tuple[int, int, int, int]) -> list[list[float]]:
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def save_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def cathaction(folder: Path) -> Layout:
    """Two domains; a gap in the numbers ends a series."""
    draw, masks, split = _Drawing(), {}, {}
    for domain in ("animal", "phantom"):
        for part, numbers in (("train", (0, 1, 40, 80, 81)), ("test", (0, 3))):
            base = folder / f"segmentation/{domain}_{part}"
            for number in numbers:
                name = f"{domain[:3]}_{number:05d}"
                draw.picture(base / f"images/{name}.png")
                mask = boxed((draw.box(), 1), (draw.box(), 2))
                (base / "masks").mkdir(exist_ok=True)
                np.save(base / f"masks/{name}.npy", mask)
                if domain == "animal":
                    first = {1: 0, 81: 80, 3: 0}.get(number, number)
                    patient = f"animal-{part}-ani_{first:05d}"
                    masks[f"{patient}__{name}"], split[patient] = mask, part
    classes = {"0": "background", "1": "catheter", "2": "guidewire"}
    return Layout(folder / "segmentation", classes, masks, ("--part", "animal"), split)


def cathaction_human(folder: Path) -> Layout:
    draw, masks = _Drawing(), {}
    base = folder / "human_dataset_train"
    for name in ("run_one", "run_two", "run_three"):
        draw.picture(base / f"img/{name}.jpg", "RGB")
        mask = boxed((draw.box(), 255))
        (base / "mask").mkdir(exist_ok=True)
        Image.fromarray(mask).save(base / f"mask/{name}_mask.png")
        masks[f"human-train-{name}__{name}"] = mask
    split = {stem.split("__")[0]: "train" for stem in masks}
    return Layout(folder, {"0": "background", "255": "catheter|guidewire"}, masks, (), split)


def guide3d(folder: Path) -> Layout:
    draw, masks, tasks = _Drawing(), {}, []
    for number, task in enumerate(("1-bca-angle-5-1", "2-lcca-1", "3-rad-1")):
        other, frames = f"{task[:-1]}2", []
        for k in range(2):
            views = {}
            for camera, video in (("cameraA", task), ("cameraB", other)):
                draw.picture(folder / f"{video}/{k:03d}.png")
                points = [[2 + number, 3], [20, 4 + 5 * k], [28, 20]]
                views[camera] = {"image": f"{video}/{k:03d}.png", "points": points}
                line = near([(x + 0.5, y + 0.5) for x, y in points], 2)
                masks[f"{task}__{video}-{k:03d}"] = line.astype(np.uint8)
            frames.append({"frame_number": k, **views})
        tasks.append({"task": task, "frame_count": 2, "frames": frames})
    save_json(folder / "annotations/raw.json", tasks)
    return Layout(folder, {"0": "background", "1": "guidewire"}, masks)


def _coco(entries: list[tuple[str, list[tuple[int, object]]]], categories: list[str]) -> dict:
    """Images with their shapes: number of the category and segmentation."""
    shapes = [(image, *shape) for image, (_, shapes) in enumerate(entries, 1) for shape in shapes]
    return {
        "images": [
            {"id": k, "file_name": name, "height": ROWS, "width": COLUMNS} for k, (name, _) in enumerate(entries, 1)
        ],
        "annotations": [
            {"id": k, "image_id": image, "category_id": category, "segmentation": outline, "iscrowd": 0}
            for k, (image, category, outline) in enumerate(shapes, 1)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(categories, 1)],
    }


def _flat(box: tuple[int, int, int, int]) -> list[list[float]]:
    return [[value for point in corners(box) for value in point]]


def arcade(folder: Path) -> Layout:
    """Segments in one part, stenoses in the other; both files list all categories."""
    draw, masks, split = _Drawing(), {}, {}
    categories = ["1", "16a", "stenosis"]
    for part, drawn in (("syntax", (1, 2)), ("stenosis", (3, 3))):
        for where in ("train", "val", "test"):
            entries = []
            for number in (1, 2):
                draw.picture(folder / f"arcade/{part}/{where}/images/{number}.png")
                boxes = draw.box(), draw.box()
                shapes = [(category, _flat(box)) for category, box in zip(drawn, boxes, strict=True)]
                entries.append((f"{number}.png", shapes))
                if part == "syntax":
                    masks[f"{where}-{number}"] = boxed((boxes[0], 1), (boxes[1], 1))
                    split[f"{where}-{number}"] = where
            save_json(folder / f"arcade/{part}/{where}/annotations/{where}.json", _coco(entries, categories))
    return Layout(folder / "arcade", {"0": "background", "1": "vessel"}, masks, ("--part", "syntax"), split)


def packed(mask: np.ndarray) -> str:
    """COCO's packed run lengths, bit by bit as the format is described: an oracle apart from what it tests."""
    values, runs, last = mask.T.ravel().tolist(), [0], 0
    for value in values:
        if value != last:
            runs.append(0)
            last = value
        runs[-1] += 1
    text = ""
    for k, run in enumerate(runs):
        value, more = run - (runs[k - 2] if k > 2 else 0), True
        while more:
            five, value = value & 31, value >> 5
            more = value != (-1 if five & 16 else 0)
            text += chr(48 + five + 32 * more)
    return text


def coco(folder: Path) -> Layout:
    """Polygons of one and two pieces, run lengths packed and not; names with a patient in them."""
    draw, masks, entries = _Drawing(), {}, []
    for number in range(6):
        name = f"p{number // 2}_f{number}"
        draw.picture(folder / f"images/{name}.jpg")
        one, two, three = draw.box(), draw.box(), draw.box()
        wire = boxed((two, 1)).astype(bool)
        runs = {"size": [ROWS, COLUMNS], "counts": packed(wire)}
        if number % 2:
            changes = np.flatnonzero(np.diff(wire.T.ravel())) + 1
            runs["counts"] = [int(run) for run in np.diff([0, *changes, wire.size])]
        entries.append((f"{name}.jpg", [(1, _flat(one) + _flat(three)), (2, runs)]))
        masks[f"p{number // 2}__{name}"] = boxed((one, 1), (three, 1), (two, 2))
    save_json(folder / "instances_default.json", _coco(entries, ["cath", "wire"]))
    save_json(folder / "notes.json", {"made": "by hand"})
    said = ("--classes", "cath=catheter,wire=guidewire", "--patients", "^(?P<patient>[^_]+)_")
    return Layout(folder, {"0": "background", "1": "catheter", "2": "guidewire"}, masks, said)


def cvat(folder: Path) -> Layout:
    """A polygon, a line over it and a brushed mask below both."""
    draw, masks, images = _Drawing(), {}, ""
    for number in range(4):
        name = f"case{number}/frame.png"
        draw.picture(folder / "images" / name)
        one, brushed = draw.box(), draw.box()
        line = [(3.5, 2.25), (25.0, 9.5 + number), (28.0, 20.0)]
        left, top, right, bottom = brushed
        inside = np.zeros((bottom - top, right - left), bool)
        inside[1:, ::2] = True
        changes = np.flatnonzero(np.diff(inside.ravel())) + 1
        runs = ", ".join(str(run) for run in np.diff([0, *changes, inside.size]))
        images += (
            f'<image id="{number}" name="{name}" width="{COLUMNS}" height="{ROWS}">'
            f'<polyline label="guidewire" points="{";".join(f"{x},{y}" for x, y in line)}" z_order="2"/>'
            f'<polygon label="catheter" points="{";".join(f"{x}.0,{y}.0" for x, y in corners(one))}" z_order="1"/>'
            f'<mask label="vessel" rle="{runs}" left="{left}" top="{top}" width="{right - left}" '
            f'height="{bottom - top}" z_order="0"/><tag label="seen"/></image>'
        )
        mask = np.zeros((ROWS, COLUMNS), np.uint8)
        mask[top:bottom, left:right][inside] = 3
        mask[boxed((one, 1)) > 0] = 2
        mask[near(line, 3)] = 1
        masks[f"case{number}-frame"] = mask
    (folder / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{images}</annotations>'
    )
    classes = {"0": "background", "1": "guidewire", "2": "catheter", "3": "vessel"}
    return Layout(folder, classes, masks, ("--width", "3"))


def nnunet(folder: Path) -> Layout:
    """With a test part; the labels go from name to number."""
    draw, masks, split = _Drawing(), {}, {}
    base = folder / "Dataset101_Wire"
    for part, cases in (("Tr", ("w_001", "w_002", "w_003", "w_004")), ("Ts", ("w_101",))):
        for case in cases:
            draw.picture(base / f"images{part}/{case}_0000.png")
            mask = boxed((draw.box(), 2), (draw.box(), 1))
            (base / f"labels{part}").mkdir(exist_ok=True)
            Image.fromarray(mask).save(base / f"labels{part}/{case}.png")
            masks[case], split[case] = mask, "train" if part == "Tr" else "test"
    labels = {"background": 0, "guidewire": 1, "catheter": 2}
    save_json(
        base / "dataset.json",
        {"channel_names": {"0": "XA"}, "labels": labels, "numTraining": 4, "file_ending": ".png"},
    )
    return Layout(base, {"0": "background", "1": "guidewire", "2": "catheter"}, masks, (), split)


def drive(folder: Path) -> Layout:
    """Photographs as TIFF, vessels as GIF whose palette has white first."""
    draw, masks, split = _Drawing(), {}, {}
    for part, short, numbers in (("training", "train", (21, 22, 23, 24)), ("test", "test", (1, 2))):
        for number in numbers:
            name = f"{number:02d}_{part}"
            draw.picture(folder / f"{part}/images/{name}.tif", "RGB")
            mask = boxed((draw.box(), 1))
            gif = Image.fromarray(1 - mask)
            gif.putpalette([255, 255, 255, 0, 0, 0])
            (folder / part / "1st_manual").mkdir(exist_ok=True)
            gif.save(folder / f"{part}/1st_manual/{number:02d}_manual1.gif")
            masks[f"{number:02d}__{name}"], split[f"{number:02d}"] = mask, short
    return Layout(folder, {"0": "background", "1": "vessel"}, masks, (), split)


def dca1(folder: Path) -> Layout:
    draw, masks = _Drawing(), {}
    base = folder / "Database_134_Angiograms"
    for number in range(1, 6):
        draw.picture(base / f"{number}.pgm")
        mask = boxed((draw.box(), 1))
        Image.fromarray(mask * 255).save(base / f"{number}_gt.pgm")
        masks[f"{number}__{number}"] = mask
    return Layout(base, {"0": "background", "1": "vessel"}, masks)


RANZCR = ("endotracheal tube", "nasogastric tube", "central venous catheter", "pulmonary artery catheter")


def ranzcr(folder: Path) -> Layout:
    """One study has a tube that nobody drew: it is left out."""
    draw, masks, studies, lines = _Drawing(), {}, [], []
    for number in range(5):
        study, patient = f"1.2.826.{number}", f"bf4c6da{number // 2}"
        draw.picture(folder / f"train/{study}.jpg")
        wire = [[2, 3 + number], [20, 10]]
        lines.append([study, "CVC - Normal", json.dumps(wire)])
        undrawn = number == 4
        studies.append([study, int(undrawn), 1, 0, patient])
        if not undrawn:
            line = near([(x + 0.5, y + 0.5) for x, y in wire], 4)
            masks[f"{patient}__{study}"] = 3 * line.astype(np.uint8)
    columns = ["StudyInstanceUID", "ETT - Normal", "CVC - Normal", "Swan Ganz Catheter Present", "PatientID"]
    for name, head, rows in (
        ("train.csv", columns, studies),
        ("train_annotations.csv", ["StudyInstanceUID", "label", "data"], lines),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    classes = {"0": "background", **{str(k): name for k, name in enumerate(RANZCR, 1)}}
    return Layout(folder, classes, masks, ("--width", "4"))


def brushed(mask: np.ndarray) -> list[int]:
    """Label Studio's packed strokes, by the description of the format: a run of equal values, or a single one."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    start = 0
    for k in range(1, len(values) + 1):
        if k == len(values) or values[k] != values[start]:
            bits += f"111{k - start - 1:016b}{values[start]:08b}" if k - start > 1 else f"000000{values[start]:08b}"
            start = k
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def labelstudio(folder: Path) -> Layout:
    """A polygon in percent, brush strokes and a vector; one task nobody has annotated."""
    draw, masks, tasks = _Drawing(), {}, []
    size = {"original_width": COLUMNS, "original_height": ROWS, "image_rotation": 0}
    for number in range(4):
        name = f"p{number}_a.png"
        draw.picture(folder / f"upload/{name}")
        one, two = draw.box(), draw.box()
        percent = [[100 * x / COLUMNS, 100 * y / ROWS] for x, y in corners(one)]
        line = [(4.0, 18.0), (22.0, 21.0)]
        vertices = [{"id": str(k), "x": 100 * x / COLUMNS, "y": 100 * y / ROWS} for k, (x, y) in enumerate(line)]
        result = [
            {"type": "polygonlabels", "value": {"points": percent, "polygonlabels": ["catheter"]}, **size},
            {
                "type": "brushlabels",
                "value": {"format": "rle", "rle": brushed(boxed((two, 1))), "brushlabels": ["vessel"]},
                **size,
            },
            {
                "type": "vectorlabels",
                "value": {"vertices": vertices, "closed": False, "vectorlabels": ["guidewire"]},
                **size,
            },
            {"type": "choices", "value": {"choices": ["good"]}},
        ]
        data = {"image": f"/data/upload/3/0a1b2c3d-{name}" if number % 2 else f"/data/local-files/?d=set/{name}"}
        tasks.append({"id": number, "data": data, "annotations": [{"result": result, "was_cancelled": False}]})
        mask = boxed((one, 1), (two, 2))
        mask[near(line, 2)] = 3
        masks[f"p{number}_a"] = mask
    tasks.append({"id": 9, "data": {"image": "/data/upload/3/none.png"}, "annotations": []})
    save_json(folder / "project-3.json", tasks)
    classes = {"0": "background", "1": "catheter", "2": "vessel", "3": "guidewire"}
    return Layout(folder, classes, masks, ("--width", "2"))


def folders(folder: Path) -> Layout:
    draw, masks, split = _Drawing(), {}, {}
    for part, patients in (("train", "abcd"), ("test", "e")):
        for patient in patients:
            for frame in (1, 2):
                draw.picture(folder / f"{part}/img/{patient}-{frame}.jpg", "RGB")
                mask = boxed((draw.box(), 1), (draw.box(), 4))
                (folder / part / "mask").mkdir(exist_ok=True)
                Image.fromarray(mask).save(folder / f"{part}/mask/{patient}-{frame}_mask.png")
                masks[f"{patient}__{part}-{patient}-{frame}"], split[patient] = mask, part
    said = ("--images", "{split}/img/{patient}-*.jpg", "--masks", "{split}/mask/{patient}-*_mask.png")
    classes = {"0": "background", "1": "catheter", "4": "guidewire"}
    return Layout(folder, classes, masks, (*said, "--classes", "1=catheter,4=guidewire"), split)


LAYOUTS: Mapping[str, tuple[str, Callable[[Path], Layout]]] = {
    "cathaction": ("cathaction", cathaction),
    "cathaction_human": ("cathaction", cathaction_human),
    "guide3d": ("guide3d", guide3d),
    "arcade": ("arcade", arcade),
    "coco": ("coco", coco),
    "cvat": ("cvat", cvat),
    "nnunet": ("nnunet", nnunet),
    "drive": ("drive", drive),
    "dca1": ("dca1", dca1),
    "ranzcr": ("ranzcr", ranzcr),
    "labelstudio": ("labelstudio", labelstudio),
    "folders": ("folders", folders),
}
"""Name of a layout to its kind and what writes it."""
