"""Training parts no run, no patient and no copies, and reads each file once to know them."""

import os
from pathlib import Path

import pytest

from fedefm.data.dataset import load_site
from fedefm.data.grouped import LOOKS, place_images, place_once
from fedefm.data.manifest import load_manifest
from support.angiograms import angiogram, site

CLASSES = ("guidewire", "catheter")


def runs(folder: Path) -> Path:
    names = {f"v{r}_{k:03d}": angiogram(r, shift=k // 2) for r in range(6) for k in range(4)}
    return site(folder / "site", names)


def test_no_run_is_in_two_splits_and_the_cache_says_the_same(tmp_path: Path) -> None:
    folder = runs(tmp_path)
    data = load_site(folder, CLASSES, 32, cache=tmp_path / "cache")
    assert (len(data.train), len(data.val), len(data.test)) == (12, 4, 8)
    owners = [set(part.patients) for part in (data.train, data.val, data.test)]
    assert [len(one) for one in owners] == [3, 1, 2] and not owners[0] & owners[1] and not owners[0] & owners[2]
    manifest = load_manifest(folder)
    placed = place_images(folder, manifest, cache=tmp_path / "cache")
    assert placed == place_once(folder, manifest)
    assert {stem[:2] + "_000": patient for stem, patient in placed.patient_of.items()} == {
        f"v{r}_000": f"v{r}_000" for r in range(6)
    }


def test_the_split_does_not_hang_on_the_size_of_the_network(tmp_path: Path) -> None:
    folder = runs(tmp_path)
    small, large = (load_site(folder, CLASSES, size, cache=tmp_path / "cache") for size in (32, 64))
    assert [part.names for part in (small.train, small.val, small.test)] == [
        part.names for part in (large.train, large.val, large.test)
    ]


def test_looks_are_made_once_and_anew_for_a_file_that_was_changed(tmp_path: Path) -> None:
    folder = runs(tmp_path)
    seen: list[int] = []
    manifest = load_manifest(folder)

    def place() -> list[int]:
        seen.clear()
        for image in (folder / "images").iterdir():  # files are settled: see `cache._SETTLED`
            os.utime(image, (1, 1))
        place_images(folder, manifest, cache=tmp_path / "cache", progress=lambda done, total: seen.append(total - done))
        return list(seen)

    assert place()[-1] == 0
    (records,) = (tmp_path / "cache").rglob(f"{LOOKS}/records-*")
    before = records.stat().st_size
    assert before == 24 * 1024
    place()
    assert records.stat().st_size == before
    (folder / "images/v0_000.png").write_bytes((folder / "images/v5_000.png").read_bytes())
    place()
    assert records.stat().st_size == before + 1024


def test_where_dataset_json_states_it_no_image_is_opened(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", {"a": angiogram(1), "b": angiogram(1)}, patients={})
    for image in (folder / "images").iterdir():
        image.write_bytes(b"nothing that can be read")
    placed = place_images(folder, load_manifest(folder), cache=tmp_path / "cache")
    assert placed.patient_of == {"a": "a", "b": "b"} and not (tmp_path / "cache").exists()


def test_a_file_that_cannot_be_read_is_placed_by_its_name(tmp_path: Path) -> None:
    folder = runs(tmp_path)
    (folder / "images/v0_003.png").write_bytes(b"nothing")
    placed = place_images(folder, load_manifest(folder), cache=tmp_path / "cache")
    assert placed.patient_of["v0_003"] == "v0_003"


@pytest.mark.parametrize("stated", [{"patients": {"x": ["a"], "y": ["a"]}}, {"patients": {"x": "a"}}])
def test_files_under_two_patients_are_refused(stated: dict, tmp_path: Path) -> None:
    from fedefm.errors import DataError

    with pytest.raises(DataError, match=r"keep one|list of texts"):
        load_manifest(site(tmp_path / "site", {"a": angiogram(1)}, **stated))
