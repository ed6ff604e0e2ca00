"""What is offered for dataset.json groups in just this way when it is read back."""

from fedefm.data.grouping.offer import lines_for
from fedefm.data.manifest import Manifest

CLASSES = {0: "background", 1: "guidewire"}


def partition(patient_of: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(s for s, p in patient_of.items() if p == one) for one in patient_of.values()}


def read_back(lines: dict, stems: list[str]) -> dict[str, str]:
    stated = lines["patients"]
    patients = stated if isinstance(stated, str) else {name: tuple(files) for name, files in stated.items()}
    splits = {split: tuple(names) for split, names in lines["splits"].items()} if "splits" in lines else None
    manifest = Manifest("here", CLASSES, patients=patients, splits=splits)
    return {stem: manifest.patient_of(stem) for stem in stems}


def test_an_expression_or_the_files_of_each_patient() -> None:
    for groups in (
        {"run1_f1": "run1_f1", "run1_f2": "run1_f1", "run2_f1": "run2_f1"},
        {"a0": "a0", "copy_of_a0": "a0", "a1": "a1", "copy_of_a1": "a1", "b": "b"},
    ):
        assert partition(read_back(lines_for(groups), list(groups))) == partition(groups)
    assert "b" not in lines_for(groups)["patients"]


def test_splits_that_part_a_group_are_mended() -> None:
    groups = {"a": "a", "b": "a", "c": "a", "d": "d"}
    lines = lines_for(groups, {"a": "train", "b": "test", "c": "test", "d": "val"})
    assert lines["splits"] == {"train": [], "val": ["d"], "test": ["a"]}
    assert set(read_back(lines, list(groups)).values()) == {"a", "d"}
