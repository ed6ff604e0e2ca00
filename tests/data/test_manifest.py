"""The manifest: what contradicts itself is refused, what is left out has the documented default."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.data.manifest import Manifest, canonical, infer_manifest, load_manifest, parts_of, write_manifest
from fedefm.errors import DataError

CLASSES = {0: "background", 1: "catheter", 2: "guidewire", 3: "vessel"}


def folder_with_masks(folder: Path, *masks: np.ndarray, suffix: str = ".png") -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number, mask in enumerate(masks):
        sitk.WriteImage(sitk.GetImageFromArray(mask.astype(np.uint8)), str(folder / "masks" / f"a{number}{suffix}"))
    return folder


def test_annotated_is_by_default_every_class_but_background_and_test_annotated_follows_it() -> None:
    assert Manifest("x", CLASSES).annotated == ("catheter", "guidewire", "vessel")
    assert Manifest("x", CLASSES, annotated=("vessel",)).test_annotated == ("vessel",)


def test_a_union_names_its_classes_and_stands_beside_them() -> None:
    manifest = Manifest("x", {0: "background", 1: "catheter", 255: "catheter|guidewire"})
    assert manifest.foreground == manifest.annotated == ("catheter", "guidewire")
    assert parts_of("catheter|guidewire") == ("catheter", "guidewire") and parts_of("vessel") == ("vessel",)
    nothing = Manifest("x", {0: "background", 1: "vessel", 255: "catheter|guidewire"}, annotated=("vessel",))
    assert nothing.annotated == ("vessel",)


def test_background_comes_first_whatever_its_value() -> None:
    manifest = Manifest("x", {0: "wire", 7: "background"})
    assert list(manifest.classes) == [7, 0]
    assert manifest.foreground == ("wire",)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"classes": {0: "background", 1: "a", 2: "a"}}, "same name"),
        ({"classes": {0: "background", 1: "Guide wire", 2: "guidewire"}}, "same name"),
        ({"classes": {0: "background", 1: "Background"}}, "same name"),
        ({"classes": {0: "background"}}, "nothing but"),
        ({"classes": {0: "catheter", 1: "vessel"}}, "background"),
        ({"classes": {0: "background", 1: ""}}, "plain name"),
        ({"classes": {0: "background", 1: "a\nb"}}, "plain name"),
        ({"classes": {0: "background", -1: "a"}}, "-1"),
        ({"classes": {0: "background", 70000: "a"}}, "70000"),
        ({"classes": {0: "background", 1: "a|background"}}, "two classes or more"),
        ({"classes": {0: "background", 1: "a|a"}}, "two classes or more"),
        ({"classes": {0: "background", 1: "a|"}}, "plain name"),
        ({"classes": {0: "background", 1: "a| b"}}, "plain name"),
        ({"classes": {0: "background", 1: "A", 2: "a|b"}}, "same name"),
        ({"classes": {0: "background", 1: "a|b"}, "annotated": ("a",)}, "part of the union"),
        ({"classes": {0: "background", 1: "a|b"}, "test_annotated": ("b",)}, "part of the union"),
        ({"classes": {0: "background", 1: "a|b"}, "annotated": ("a|b",)}, "which classes does not"),
        ({"annotated": ("stent",)}, "stent"),
        ({"annotated": ("vessel", "vessel")}, "twice"),
        ({"annotated": ("background",)}, "background"),
        ({"test_annotated": ("stent",)}, "stent"),
        ({"patients": "("}, "regular expression"),
        ({"patients": "^([^_]+)_"}, "group named patient"),
        ({"splits": {"train": ("p",), "dev": ()}}, "dev"),
        ({"splits": {"train": ("p",), "test": ("p",)}}, "'p' is in train and in test"),
    ],
)
def test_a_contradiction_is_refused_in_one_line(change: dict, word: str) -> None:
    with pytest.raises(DataError) as caught:
        Manifest(**{"name": "x", "classes": CLASSES, **change})
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "{",
        '{"classes": {"0": "background", "1": "a"}, "annoted": ["a"]}',
        '{"classes": ["background", "a"]}',
        '{"classes": {"0": "background", "one": "a"}}',
        '{"classes": {"0": "background", "1": 5}}',
        '{"classes": {"0": "background", "1": "a"}, "annotated": []}',
        '{"classes": {"0": "background", "1": "a"}, "annotated": "a"}',
        '{"classes": {"0": "background", "1": "a"}, "splits": ["p"]}',
        '{"classes": {"0": "background", "1": "a"}, "splits": {"train": "p"}}',
        '{"classes": {"0": "background", "1": "a"}, "patients": 3}',
        '{"classes": {"0": "background", "1": "a"}, "name": ""}',
        "[" * 100_000,
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json") as caught:
        load_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_file_of_the_same_name_of_nnunet_is_recognised(tmp_path: Path) -> None:
    content = {"channel_names": {"0": "XA"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="fedefm data import nnunet"):
        load_manifest(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_bytes(b'{"name": "\xff\xfe"}')
    with pytest.raises(DataError, match="not valid JSON"):
        load_manifest(tmp_path)


NAMES = st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=5, unique_by=canonical).filter(
        lambda names: "background" not in map(canonical, names)
    ),
    patients=st.none() | st.just("^(?P<patient>[^_]+)_"),
    people=st.none() | st.lists(NAMES, min_size=3, max_size=6, unique=True),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list, patients: str | None, people: list | None
) -> None:
    folder = tmp_path_factory.mktemp("m")
    splits = people and {"train": tuple(people[2:]), "val": (people[0],), "test": (people[1],)}
    manifest = Manifest(
        "x", {0: "background", **dict(enumerate(names, 3))}, tuple(names[:1]), tuple(names), patients, splits
    )
    write_manifest(manifest, folder, origin={"from": "a test"})
    assert load_manifest(folder) == manifest
    assert json.loads((folder / "dataset.json").read_text())["origin"] == {"from": "a test"}
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_both_eyes_are_one_patient_by_default() -> None:
    manifest = Manifest("x", CLASSES)
    assert manifest.patient_of("Image_01L") == manifest.patient_of("Image_01R") == "Image_01"
    assert manifest.patient_of("frameL") == "frameL"  # a letter that follows a letter is part of the name


def test_the_expression_names_the_patient() -> None:
    manifest = Manifest("x", CLASSES, patients="^(?P<patient>[^_]+)_")
    assert manifest.patient_of("p007_f12") == "p007"
    with pytest.raises(DataError, match="does not match"):
        manifest.patient_of("p007")


def test_unexplained_values_become_classes_of_that_folder_alone(tmp_path: Path) -> None:
    one = folder_with_masks(tmp_path / "arcade", np.eye(8) * 255)
    two = folder_with_masks(tmp_path / "chase db", np.eye(8) * 3, np.eye(8) * 9)
    with pytest.warns(UserWarning, match='to share a class, write dataset.json with "classes"'):
        assert load_manifest(one).classes == {0: "background", 255: "arcade"}
    with pytest.warns(UserWarning, match="chase-db"):
        assert infer_manifest(two).classes == {0: "background", 3: "chase-db-1", 9: "chase-db-2"}


def test_a_picture_is_no_label_map(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4), (16, 1))
    for name, suffix, why in (("jpeg", ".jpg", "a mask in JPEG"), ("smooth", ".png", "masks hold more than")):
        with pytest.raises(DataError, match=why):
            infer_manifest(folder_with_masks(tmp_path / name, ramp, suffix=suffix))


def test_empty_masks_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no value but 0"):
        infer_manifest(folder_with_masks(tmp_path / "x", np.zeros((8, 8))))
