import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.manifest import Manifest, write_manifest
from fedefm.data.png_file import write_png
from fedefm.errors import DataError
from fedefm.finetune.presence import load_presence, read_table, table_classes
from fedefm.finetune.work import presence_loss, presence_scores
from support.splits import masks_of

RANZCR = """StudyInstanceUID,ETT - Normal,CVC - Borderline,PatientID
1.2.3,1,0,aa
1.2.4,0,,bb
1.2.5,0,1,aa
"""
CLASSES = ("ETT - Normal", "CVC - Borderline")


def table(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def test_a_table_of_ranzcr_is_read_as_it_is(tmp_path: Path) -> None:
    path = table(tmp_path, RANZCR)
    assert table_classes(path) == CLASSES
    rows = read_table(path, CLASSES)
    assert rows["1.2.3"] == ("aa", [1.0, 0.0])
    assert rows["1.2.4"][1][0] == 0.0 and np.isnan(rows["1.2.4"][1][1])


def test_patients_stay_together_and_names_stay_opaque(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"img{k},patient-{k // 3},{k % 2},{(k // 2) % 2}" for k in range(24)]
    table(tmp_path, "\n".join(["image,patient,tube,line", *lines]) + "\n")
    (tmp_path / "images").mkdir()
    for k in range(24):
        write_png(tmp_path / "images" / f"img{k}.png", rng.integers(0, 255, (40, 48), dtype=np.uint8))
    found = load_presence(tmp_path, ("tube", "line", "stent"), 32)
    assert found.corpus == ("tube", "line")
    assert sum(len(split) for split in found.splits.values()) == 24
    spoken = [name for split in found.splits.values() for name in (*split.names, *split.patients)]
    assert not [name for name in spoken if "img" in name]
    train = found.splits["train"]
    assert masks_of(train)[:, 0, 0].tolist() == list(range(len(train)))
    assert found.labels["train"][:, 2].isnan().all() and not found.labels["train"][:, :2].isnan().any()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name,tube\na,1\n", "needs a column 'image'"),
        ("image,heart\na,1\n", "such as 'tube'"),
        ("image,tube\na,1\na,0\n", "'a' stands twice"),
        ("image,tube\na,yes\n", "'yes' is none of"),
        ("image,tube\n", "no image in it"),
        ("image,tube\nmissing,1\n", "'missing', which images/ does not hold"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(text: str, named: str, tmp_path: Path) -> None:
    table(tmp_path, text)
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.png", np.zeros((32, 32), np.uint8))
    with pytest.raises(DataError, match=named) as refused:
        load_presence(tmp_path, ("tube",), 32)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_table_beside_a_dataset_that_says_synthetic_is_synthetic(tmp_path: Path, synthetic: bool) -> None:
    table(tmp_path, "image,tube\na,1\nb,0\n")
    (tmp_path / "images").mkdir()
    for name in "ab":
        write_png(tmp_path / "images" / f"{name}.png", np.arange(1024, dtype=np.uint8).reshape(32, 32))
    content = {"name": "x", "classes": {"0": "background", "1": "tube"}, "synthetic": synthetic}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert load_presence(tmp_path, ("tube",), 32).synthetic is synthetic


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match=r"labels\.csv: cannot be read as a table"):
        table_classes(tmp_path / "labels.csv")


def test_without_a_table_the_masks_tell(consortium: dict[str, Path]) -> None:
    found = load_presence(consortium["east"], ("catheter", "guidewire", "vessel"), 64)
    assert found.corpus == ("catheter",)
    assert found.labels["train"][:, 1:].isnan().all()  # not labelled is not absent
    assert not found.labels["test"].isnan().any()  # test masks hold all classes


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20))
def test_auc_is_the_share_of_pairs_in_the_right_order(cases: list[tuple[int, bool]]) -> None:
    logits = torch.tensor([float(c[0]) for c in cases])
    labels = torch.tensor([float(c[1]) for c in cases])
    pairs = [(a, b) for a, here in cases if here for b, there in cases if not there]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]
    found = presence_scores(logits, labels)["auc"]
    assert found is None if not pairs else found == pytest.approx(sum(wins) / len(wins))


def test_labels_that_nobody_stated_weigh_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    labels = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    known = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor([2.0, 0.5, 3.0]), torch.tensor([1.0, 0.0, 1.0])
    )
    assert presence_loss(logits, labels) == pytest.approx(float(known))
    assert presence_loss(logits, torch.full((2, 2), float("nan"))) == 0


def test_a_union_leaves_open_which_class_is_there(tmp_path: Path) -> None:
    source = {"a": 255, "b": 1, "c": 0, "d": 2, "e": 0}
    for stem, value in source.items():
        for part, content in (("images", np.arange(256).reshape(16, 16)), ("masks", np.full((16, 16), value))):
            (tmp_path / part).mkdir(exist_ok=True)
            write_png(tmp_path / part / f"{stem}.png", content.astype(np.uint8))
    classes = {0: "background", 1: "tube", 2: "line", 255: "tube|line"}
    splits = {"train": ("a", "b", "c"), "val": ("d",), "test": ("e",)}
    write_manifest(Manifest("x", classes, splits=splits), tmp_path)
    found = load_presence(tmp_path, ("tube", "line"), 16).labels
    assert found["train"][0].isnan().all()
    assert found["train"][1:].tolist() == [[1, 0], [0, 0]] and found["val"].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,patient,guidewire\np0,a,1\np1,b,0\n",
        "image;patient;guidewire\np0;a;1\np1;b;0\n",
        "image\tpatient\tguidewire\np0\ta\t1\np1\tb\t0\n",
        "image, patient, guidewire\np0, a, 1\np1, b, 0\n",
        "image,patient,guidewire\np0,a,TRUE\np1,b,False\n",
        "image,patient,guidewire\np0,a,1.0\np1,b,0.0\n",
        "image;patient;guidewire\np0;a;1,0\np1;b;0,0\n",
        "image,patient,guidewire\np0,a,1\np1,b,0\n,,\n",
        "Image,Patient,Guide-Wire\np0,a,1\np1,b,0\n",
    ],
    ids=["mark", "semicolons", "tabs", "spaces", "truth", "decimals", "decimal commas", "empty line", "capitals"],
)
def test_a_table_as_spreadsheets_save_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert read_table(tmp_path / "labels.csv", ["guidewire"]) == {"p0": ("a", [1.0]), "p1": ("b", [0.0])}
