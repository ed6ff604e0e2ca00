"""What is wrong in a source is one line that says what it is and what to do; nothing is left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from support.published_layouts import LAYOUTS, Layout, save_json

Change = Callable[[Path], None]


def edited(name: str, change: Callable[[object], object]) -> Change:
    """A change of one JSON file."""

    def apply(source: Path) -> None:
        path = next(source.rglob(name))
        content = json.loads(path.read_text())
        save_json(path, change(content) or content)

    return apply


def replaced(name: str, old: str, new: str) -> Change:
    """A change of one text."""

    def apply(source: Path) -> None:
        path = next(source.rglob(name))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return apply


def removed(pattern: str) -> Change:
    def apply(source: Path) -> None:
        for path in list(source.rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return apply


def copied(pattern: str, to: str) -> Change:
    def apply(source: Path) -> None:
        (source / to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(next(source.rglob(pattern)), source / to)

    return apply


def saved(pattern: str, array: np.ndarray) -> Change:
    """Another array in place of a mask."""

    def apply(source: Path) -> None:
        path = next(source.rglob(pattern))
        np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)

    return apply


def cut(pattern: str) -> Change:
    def apply(source: Path) -> None:
        for path in source.rglob(pattern):
            path.write_bytes(path.read_bytes()[:40])

    return apply


def nothing(source: Path) -> None:
    """Leaves the source as it is."""


def set_first(key: str, field: str, value: object) -> Callable[[object], None]:
    def change(content: object) -> None:
        content[key][0][field] = value

    return change


BIG = np.full((48, 64), 1, np.uint8)
FIVE = np.full((24, 32), 5, np.uint8)
CASES = [
    ("cathaction", nothing, ("--part", ""), "holds animal, phantom"),
    ("cathaction", nothing, ("--part", "human"), "no 'human'"),
    ("cathaction", removed("masks"), (), "fedefm data import folders"),
    ("cathaction", saved("ani_00040.npy", BIG), None, "ani_00040.png is 32 x 24 but its labels are 64 x 48"),
    ("cathaction", saved("ani_00040.npy", FIVE), None, "--classes 5=NAME"),
    ("cathaction", saved("ani_00040.npy", FIVE * 0.5), None, "mask of fractions"),
    ("cathaction", cut("ani_00040.npy"), None, "truncated"),
    ("cathaction", cut("*.png"), None, "cannot be used, above the limit"),
    ("cathaction", nothing, ("--part", "animal", "--width", "3"), "--width: cathaction has no use for it"),
    ("cathaction", nothing, ("--part", "animal", "--classes", "wire=x"), "no 'wire'"),
    ("cathaction_human", removed("*_mask.png"), None, "image without a mask, left out"),
    ("guide3d", removed("raw.json"), None, "annotations/raw.json"),
    ("guide3d", edited("raw.json", lambda tasks: [{"frames": [{"cameraA": {"tck": 1}}]}]), None, "splines"),
    ("guide3d", removed("1-bca-angle-5-2"), None, "picture '1-bca-angle-5-2/000.png' is nowhere"),
    ("guide3d", replaced("raw.json", "[2, 3]", '[2, "a"]'), None, "not pairs of numbers"),
    ("guide3d", replaced("raw.json", "[2, 3]", "[2, NaN]"), None, "not pairs of numbers"),
    ("guide3d", replaced("raw.json", "[2, 3]", "[2, 3"), None, "not valid JSON"),
    ("arcade", nothing, (), "add --part syntax"),
    ("arcade", removed("*.json"), (), "fedefm data import coco"),
    ("coco", removed("*.json"), None, "no JSON file with images, annotations and categories"),
    ("coco", edited("instances_default.json", set_first("annotations", "category_id", 9)), None, "category 9"),
    ("coco", edited("instances_default.json", set_first("annotations", "image_id", 77)), None, "image 77"),
    ("coco", edited("instances_default.json", set_first("images", "height", "x")), None, "height and width"),
    ("coco", edited("instances_default.json", set_first("images", "height", 48)), None, "its picture"),
    ("coco", edited("*_default.json", set_first("annotations", "segmentation", [[1, 2, 3, 4]])), None, "2 points"),
    ("coco", edited("instances_default.json", set_first("annotations", "segmentation", "x")), None, "neither polygons"),
    ("coco", edited("instances_default.json", lambda c: c["images"][0].pop("id") and None), None, "lacks 'id'"),
    ("coco", edited("*_default.json", set_first("annotations", "segmentation", {"size": None})), None, "size None"),
    ("coco", edited("instances_default.json", lambda c: c["images"].append(c["images"][0])), None, "twice"),
    ("coco", edited("instances_default.json", lambda c: c["categories"].append(c["categories"][0])), None, "twice"),
    ("coco", edited("instances_default.json", set_first("images", "id", [1])), None, "its id no number"),
    ("coco", removed("p0_f0.jpg"), None, "picture 'p0_f0.jpg' is nowhere"),
    ("coco", copied("instances_default.json", "copy.json"), None, "stands twice"),
    ("coco", copied("p0_f0.jpg", "other/p0_f0.jpg"), None, "may be images/p0_f0.jpg and other/p0_f0.jpg"),
    ("coco", nothing, ("--classes", "stent=x"), "the source has the labels cath, wire"),
    ("coco", nothing, ("--classes", "cath"), "is not OLD=NEW"),
    ("coco", nothing, ("--classes", "cath=a,cath=b"), "named twice"),
    ("coco", nothing, ("--classes", "cath=background,wire=background"), "no class is left"),
    ("coco", nothing, ("--patients", "^(?P<patient>q)"), "does not match the frame"),
    ("coco", nothing, ("--patients", "(p"), "not a regular expression"),
    ("coco", nothing, ("--patients", "p"), "group named patient"),
    ("cvat", nothing, (), "guidewire is drawn as a line without a width; add --width 3"),
    ("cvat", nothing, ("--width", "0"), "above 0"),
    ("cvat", removed("*.xml"), None, "CVAT for images 1.1"),
    ("cvat", replaced("annotations.xml", "<image", "<track/><image"), None, "export the task as"),
    ("cvat", replaced("annotations.xml", "</annotations>", ""), None, "not valid XML"),
    ("cvat", replaced("annotations.xml", "<annotations>", "<!DOCTYPE a><annotations>"), None, "document type"),
    ("cvat", replaced("annotations.xml", "3.5,2.25", "3.5;2.25"), None, "not pairs of numbers"),
    ("cvat", replaced("annotations.xml", 'rle="', 'rle="1, '), None, "its runs cover"),
    ("cvat", replaced("annotations.xml", 'left="', 'left="9'), None, "outside the picture"),
    ("cvat", replaced("annotations.xml", 'z_order="2"', 'z_order="a"'), None, "z_order is no whole number"),
    ("nnunet", removed("dataset.json"), None, "raw folder DatasetNNN_X"),
    ("nnunet", removed("labelsTr"), None, "labelsTr/ are missing"),
    ("nnunet", edited("dataset.json", lambda c: {"classes": {"0": "background"}}), None, "fedefm data check"),
    ("nnunet", edited("dataset.json", lambda c: {"labels": {}}), None, "not nnU-Net's"),
    ("nnunet", edited("dataset.json", lambda c: c.update(channel_names=5)), None, "channel_names are no list"),
    ("nnunet", edited("dataset.json", lambda c: c.update(labels={"0": [], "1": "a"})), None, "background"),
    ("nnunet", edited("dataset.json", lambda c: c["labels"].update(all=[1, 2])), None, "region of several labels"),
    ("nnunet", edited("dataset.json", lambda c: c["labels"].update(x="1")), None, "no whole number"),
    ("nnunet", edited("dataset.json", lambda c: c["channel_names"].update({"1": "b"})), None, "2 channels"),
    ("nnunet", copied("dataset.json", "Dataset101_Wire/splits_final.json"), None, "no list of folds"),
    ("nnunet", nothing, ("--patients", "^(?P<patient>w)"), "in train and in test"),
    ("drive", removed("images"), None, "not DRIVE's layout"),
    ("drive", saved("21_manual1.gif", np.tile(np.arange(32, dtype=np.uint8) * 8, (24, 1))), None, "grey values"),
    ("dca1", removed("*_gt.pgm"), None, "no 1.pgm with 1_gt.pgm"),
    ("dca1", cut("1_gt.pgm"), None, "truncated"),
    ("ranzcr", removed("train.csv"), None, "no train.csv"),
    ("ranzcr", replaced("train.csv", "PatientID", "Patient"), None, "no column 'PatientID'"),
    ("ranzcr", replaced("train_annotations.csv", "CVC", "XYZ"), None, "'XYZ - Normal'"),
    ("ranzcr", replaced("train.csv", "1.2.826.0,", "1.2.826.7,"), None, "is not in train.csv"),
    ("ranzcr", replaced("train_annotations.csv", "[[2, 3]", "[[2, 3"), None, "not valid JSON"),
    ("labelstudio", nothing, (), "guidewire is drawn as a line without a width; add --width 3"),
    ("labelstudio", removed("*.json"), None, 'export as "JSON"'),
    ("labelstudio", edited("project-3.json", lambda c: [{"image": "a", "annotator": 1}]), None, "JSON-MIN"),
    ("labelstudio", removed("p0_a.png"), None, "nowhere"),
    ("labelstudio", replaced("project-3.json", '"image_rotation": 0', '"image_rotation": 90'), None, "was turned"),
    ("labelstudio", replaced("project-3.json", '["catheter"]', '["catheter", "vessel"]'), None, "no single label"),
    ("labelstudio", replaced("project-3.json", '"original_width": 32', '"original_width": 64'), None, "different"),
    ("folders", nothing, ("--masks", "a/*", "--classes", "1=a"), "--images 'img/*.png'"),
    ("folders", nothing, ("--images", "a/*", "--masks", "b/*"), "--classes 1=catheter"),
    ("folders", nothing, ("--images", "a", "--masks", "b/*", "--classes", "1=a"), "same number of *"),
    ("folders", nothing, ("--images", "a/*", "--masks", "b/*", "--classes", "1=a"), "no picture fits --images 'a/*'"),
    (
        "folders",
        nothing,
        ("--images", "train/img/*", "--masks", "train/mask/*", "--classes", "1=a"),
        "change the patterns until they are the same",
    ),
]  # fmt: skip


def run(name: str, change: Change, arguments: tuple[str, ...] | None, folder: Path) -> tuple[int, Layout]:
    kind, write = LAYOUTS[name]
    (folder / "source").mkdir()
    layout = write(folder / "source")
    change(folder / "source")
    said = layout.arguments if arguments is None else tuple(a for a in arguments if arguments != ("--part", ""))
    return main(["data", "import", kind, str(layout.source), str(folder / "north"), *said]), layout


@pytest.mark.parametrize(("name", "change", "arguments", "words"), CASES)
def test_one_line_and_nothing_left_behind(
    name: str, change: Change, arguments: tuple, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(name, change, arguments, tmp_path)
    error = capsys.readouterr().err
    assert code in (2, 3)
    assert words in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in LAYOUTS.values()}))
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.mkdir(), ""),
        (lambda path: path.write_bytes(b"PK"), "give the folder"),
    ],
    ids=["missing", "empty", "file"],
)
def test_no_source(
    kind: str, make: Callable[[Path], None], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "source")
    said = ("--images", "*", "--masks", "*", "--classes", "1=a") if kind == "folders" else ()
    assert main(["data", "import", kind, str(tmp_path / "source"), str(tmp_path / "north"), *said]) in (2, 3)
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "source" in error
    assert not (tmp_path / "north").exists()


def test_an_archive_is_to_be_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export.zip").write_bytes(b"PK")
    assert main(["data", "import", "cvat", str(tmp_path / "export.zip"), str(tmp_path / "x")]) == 3
    assert "unpack it" in capsys.readouterr().err


def test_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/a").write_text("")
    (tmp_path / "source").mkdir()
    layout = LAYOUTS["dca1"][1](tmp_path / "source")
    assert main(["data", "import", "dca1", str(layout.source), str(tmp_path / "taken")]) == 2
    assert main(["data", "import", "dca1", str(layout.source), str(layout.source / "north")]) == 2
    assert "is never changed" in capsys.readouterr().err
    assert main(["data", "import", "pascal", str(layout.source), str(tmp_path / "x")]) == 2
    assert "use one of cathaction, guide3d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "change", "remark", "count"),
    [
        ("cathaction", removed("ani_00040.npy"), "image without a mask, left out", 1),
        ("coco", edited("instances_default.json", set_first("annotations", "segmentation", [])), "it has a box", 1),
        (
            "coco",
            edited("instances_default.json", set_first("annotations", "segmentation", [[1, 1, 1.2, 1, 1.2, 1.2]])),
            "covers the centre of no pixel",
            1,
        ),
        ("coco", edited("instances_default.json", lambda c: c.update(annotations=c["annotations"][2:])), "empty", 1),
        ("cvat", replaced("annotations.xml", "<tag", '<box label="x" xtl="1"/><tag'), "it has a box", 1),
        ("drive", removed("test/1st_manual"), "without 1st_manual", 2),
        ("ranzcr", nothing, "which nobody drew", 1),
        ("labelstudio", nothing, "nobody has annotated", 1),
        ("folders", removed("a-1_mask.png"), "image without a mask", 1),
        ("folders", removed("a-1.jpg"), "mask without an image", 1),
        ("nnunet", removed("labelsTr/w_001.png"), "without a label map", 1),
        ("dca1", removed("1_gt.pgm"), "without its _gt.pgm", 1),
    ],
)
def test_what_is_left_out_is_counted(
    name: str, change: Change, remark: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(name, change, None, tmp_path)
    assert code == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if remark in line)
    assert line.startswith(f"  {count} x ")


def test_two_annotators_of_whom_none_is_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def twice(tasks: list) -> None:
        for task in tasks[:2]:
            task["annotations"] *= 2
        tasks[1]["annotations"] = [{**tasks[1]["annotations"][0], "ground_truth": True}, tasks[1]["annotations"][1]]

    code, layout = run("labelstudio", edited("project-3.json", twice), None, tmp_path)
    assert code == 0 and "1 x task left out: it has several" in capsys.readouterr().out
    assert len(list((tmp_path / "north/masks").iterdir())) == len(layout.masks) - 1


def test_numbers_of_neighbours_belong_to_one_series() -> None:
    from fedefm.data.importers.cathaction import series_of

    names = ["a_1", "a_2", "a_9", "a_30", "b_1", "run", "a_31"]
    assert series_of(names) == {
        "a_1": "a_1", "a_2": "a_1", "a_9": "a_1", "a_30": "a_30", "a_31": "a_30", "b_1": "b_1", "run": "run",
    }  # fmt: skip
