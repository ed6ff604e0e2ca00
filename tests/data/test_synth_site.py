"""A hospital's folder: what is written, what is left out, what is refused."""

import json
import re

import numpy as np
import pytest
import SimpleITK

from fedefm.data.synth import CLASSES, write_site
from fedefm.data.synth.site import without_unlabelled
from fedefm.errors import ConfigError, DataError


def read(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "north"
    write_site(folder, "human", frames=20, size=32, seed=7, corpus=["vessel"])
    return folder


@pytest.fixture(scope="module")
def manifest(site):
    return json.loads((site / "dataset.json").read_text())


def patients_of(folder, manifest):
    pattern = re.compile(manifest["patients"])
    return {path.name: pattern.match(path.name)["patient"] for path in sorted((folder / "images").iterdir())}


def test_manifest_has_the_agreed_fields(manifest):
    assert manifest["name"] == "north"
    assert manifest["classes"] == {"0": "background", "1": "catheter", "2": "guidewire", "3": "vessel"}
    assert manifest["annotated"] == ["vessel"]
    assert manifest["test_annotated"] == list(CLASSES)
    assert manifest["origin"]["generator"] == "fedefm synth"
    assert (manifest["origin"]["look"], manifest["origin"]["size"], manifest["origin"]["seed"]) == ("human", 32, 7)


def test_every_image_has_a_mask_of_its_size(site):
    images, masks = (sorted(path.name for path in (site / kind).iterdir()) for kind in ("images", "masks"))
    assert images == masks
    assert len(images) == 20
    assert all(read(site / kind / name).shape == (32, 32) for name in images for kind in ("images", "masks"))


def test_each_patient_is_in_exactly_one_split(site, manifest):
    listed = [patient for split in ("train", "val", "test") for patient in manifest["splits"][split]]
    assert all(manifest["splits"].values())
    assert sorted(listed) == sorted(set(patients_of(site, manifest).values()))
    assert len(listed) == len(set(listed))
    assert len(manifest["splits"]["train"]) > len(manifest["splits"]["test"]) >= len(manifest["splits"]["val"])


def test_masks_hold_the_corpus_and_test_masks_all_classes(site, manifest):
    found = {split: set() for split in manifest["splits"]}
    split_of = {patient: split for split, patients in manifest["splits"].items() for patient in patients}
    for name, patient in patients_of(site, manifest).items():
        found[split_of[patient]] |= set(np.unique(read(site / "masks" / name)).tolist())
    assert found["train"] == found["val"] == {0, 3}
    assert found["test"] == {0, 1, 2, 3}


@pytest.mark.parametrize("frames", [3, 5])
def test_even_a_small_site_can_measure_every_class(tmp_path, frames):
    write_site(tmp_path / "s", "phantom", frames=frames, size=48, seed=1, corpus=["guidewire"])
    manifest = json.loads((tmp_path / "s" / "dataset.json").read_text())
    names = patients_of(tmp_path / "s", manifest)
    held = [read(tmp_path / "s" / "masks" / name) for name, p in names.items() if p in manifest["splits"]["test"]]
    assert len(names) == frames
    assert set(np.unique(held)) == {0, 1, 2, 3}


def test_same_seed_same_bytes_whatever_the_corpus(tmp_path):
    for name, seed, corpus in (
        ("a/s", 3, ["vessel"]),
        ("b/s", 3, ["vessel"]),
        ("c/s", 3, CLASSES),
        ("d/s", 4, ["vessel"]),
    ):
        write_site(tmp_path / name, "animal", frames=3, size=32, seed=seed, corpus=corpus)
    a, b, c, d = (content(tmp_path / name / "s") for name in "abcd")
    assert a == b
    images = [name for name in a if name.startswith("images")]
    assert all(a[name] == c[name] != d[name] for name in images)


def test_a_finished_site_is_reused_and_not_written_again(tmp_path):
    calls = []
    for _ in range(2):
        write_site(
            tmp_path / "s", "human", frames=4, size=32, seed=0, corpus=["vessel"], progress=lambda *c: calls.append(c)
        )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"corpus": ["catheter"]}, {"size": 40}, {"frames": 5}])
def test_another_data_set_in_the_folder_is_kept(tmp_path, change):
    settings = {"frames": 4, "size": 32, "seed": 0, "corpus": ["vessel"]}
    write_site(tmp_path / "s", "human", **settings)
    before = content(tmp_path)
    with pytest.raises(DataError, match="another data set"):
        write_site(tmp_path / "s", "human", **(settings | change))
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "dataset.json"])
def test_foreign_files_are_kept(tmp_path, name):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        write_site(tmp_path / "s", "human", frames=4, size=32, seed=0, corpus=["vessel"])
    assert content(tmp_path) == {f"s/{name}": b"mine"}


def test_an_interrupted_site_leaves_nothing_behind(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_site(tmp_path / "s", "human", frames=4, size=32, seed=0, corpus=["vessel"], progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "s").mkdir()
    write_site(tmp_path / "s", "human", frames=3, size=32, seed=0, corpus=["vessel"])
    assert (tmp_path / "s" / "dataset.json").is_file()


def test_unlabelled_classes_become_background():
    mask = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    np.testing.assert_array_equal(without_unlabelled(mask, ["catheter", "vessel"]), [[0, 1], [0, 3]])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"corpus": []}, "corpus"),
        ({"corpus": ["stent"]}, "stent"),
        ({"frames": 2}, "frames 2"),
        ({"seed": -3}, "seed -3"),
        ({"size": 5}, "size 5"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, change, word):
    with pytest.raises(ConfigError, match=word):
        write_site(tmp_path / "s", "human", **({"frames": 4, "size": 32, "seed": 0, "corpus": ["vessel"]} | change))
