"""Prepared images: the same pixels as from the files, made once, and never wrong in silence."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from fedefm.data import cache as cache_module
from fedefm.data import prepared as prepared_module
from fedefm.data.cache import INDEX, Entry
from fedefm.data.dataset import load_site
from fedefm.data.describe import describe_folder
from fedefm.data.fitted import Fitted, fit_pair
from fedefm.data.folder import list_pairs
from fedefm.data.manifest import load_manifest
from fedefm.data.prepared import FOLDER, Prepared, prepare_pairs
from fedefm.data.synth.site import write_png
from fedefm.errors import ConfigError, DataError
from fedefm.training.loop import draw_batches
from fedefm.training.optimisation import Optimisation
from support.dicom_files import dicom, text
from support.splits import images_of, masks_of, split_of

CLASSES = ("catheter", "vessel")
SIZE = 48
MANIFEST = {"name": "x", "classes": {"0": "background", "5": "vessel", "2": "catheter"}}
RANDOM = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 4096, shape).astype(np.uint16)


def labels(*shape: int) -> np.ndarray:
    return RANDOM.choice([0, 2, 5], shape, p=[0.9, 0.07, 0.03]).astype(np.uint8)


def add_png(folder: Path, stem: str, side: int = 60) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    write_png(folder / "images" / f"{stem}.png", RANDOM.integers(0, 256, (side, side)).astype(np.uint8))
    write_png(folder / "masks" / f"{stem}.png", labels(side, side))


def save(array: np.ndarray, path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight PNG, a DICOM image, a cine of four frames, and a stack of NIfTI, of several sizes."""
    place = tmp_path / "site"
    for k in range(8):
        add_png(place, f"png{k}", 40 + 10 * k)
    (place / "images/single.dcm").write_bytes(dicom(pixels(70, 50), 12, before=text(0x00181164, "DS", "0.3\\0.3")))
    save(labels(70, 50), place / "masks/single.png")
    (place / "images/cine.dcm").write_bytes(dicom(pixels(4, 64, 90), 12))
    save(labels(4, 64, 90), place / "masks/cine.nii.gz")
    save(pixels(3, 55, 44), place / "images/stack.nii.gz")
    save(labels(3, 55, 44), place / "masks/stack.nii")
    (place / "dataset.json").write_text(json.dumps(MANIFEST))
    return place


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were decoded."""
    found: list[str] = []

    def noted(pair, manifest, size) -> Fitted:
        found.append(pair.stem)
        return fit_pair(pair, manifest, size)

    monkeypatch.setattr(prepared_module, "fit_pair", noted)
    return found


def prepare(folder: Path, size: int, **how: Any) -> Prepared:
    """With the folder's own manifest."""
    return prepare_pairs(folder, load_manifest(folder), size, **how)


def assert_same(prepared: Prepared, folder: Path, size: int = SIZE) -> None:
    """Every frame has the very bytes that its file gives."""
    manifest = load_manifest(folder)
    for pair in list_pairs(folder):
        direct, kept = fit_pair(pair, manifest, size), prepared.files[pair.stem]
        images, masks = prepared.read(kept.numbers)
        assert images.tobytes() == direct.images.tobytes() and masks.tobytes() == direct.masks.tobytes(), pair.stem
        assert kept.spacing_mm == direct.spacing_mm
        assert kept.present == tuple(tuple(np.unique(mask).tolist()) for mask in direct.masks)


def place_of(folder: Path) -> Path:
    [place] = (folder / FOLDER).iterdir()
    return place


def records_of(folder: Path) -> Path:
    [records] = place_of(folder).glob("records-*.bin")
    return records


# The same pixels


@pytest.mark.parametrize("threads", [1, 3])
def test_every_format_gives_the_bytes_of_its_file_when_prepared_and_when_read_again(folder: Path, threads: int) -> None:
    assert_same(prepare(folder, SIZE, threads=threads), folder)
    assert_same(prepare(folder, SIZE, threads=threads), folder)


def test_batches_of_training_are_those_of_tensors_in_memory(folder: Path) -> None:
    settings, cpu = Optimisation(batch_size=3), torch.device("cpu")
    train = load_site(folder, CLASSES, SIZE).train
    held = split_of(images_of(train), masks_of(train))
    for (images, masks), (held_images, held_masks), _ in zip(
        draw_batches(train, settings, 7, cpu), draw_batches(held, settings, 7, cpu), range(8), strict=False
    ):
        assert torch.equal(images, held_images) and torch.equal(masks, held_masks)


def test_a_batch_reads_what_it_asks_for_and_no_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = load_site(folder, CLASSES, SIZE).train
    whole, read, preadv = images_of(train), [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *given: read.append(given[2]) or preadv(*given))
    assert torch.equal(train.batch([4, 1])[0], whole[[4, 1]]) and len(read) == 2
    assert torch.equal(train.only([5, 3, 1]).batch([2, 0])[0], whole[[1, 5]]) and len(read) == 4


def test_what_stands_in_a_mask_is_told_without_reading_it(folder: Path) -> None:
    data = load_site(folder, CLASSES, SIZE)
    for split in (data.train, data.val, data.test):
        assert split.labels == tuple(tuple(mask.unique().tolist()) for mask in masks_of(split))


# Made once


def test_a_second_job_decodes_nothing_and_says_the_same(folder: Path, calls: list[str]) -> None:
    (folder / "images/png3.png").write_bytes((folder / "images/png3.png").read_bytes()[:99])
    first = load_site(folder, CLASSES, SIZE)
    assert len(calls) == 11 and first.quarantined == 1
    second = load_site(folder, CLASSES, SIZE)
    assert len(calls) == 11 and second.quarantined == 1
    for name in ("train", "val", "test"):
        one, two = getattr(first, name), getattr(second, name)
        assert torch.equal(images_of(one), images_of(two)) and torch.equal(masks_of(one), masks_of(two))
        assert (one.names, one.patients, one.spacing_mm) == (two.names, two.patients, two.spacing_mm)
    with pytest.raises(DataError, match=r"1 of 11 files .* first: .*png3"):
        load_site(folder, CLASSES, SIZE, max_quarantined=0.01)


def test_what_is_changed_or_new_is_made_and_what_is_gone_is_left_out(folder: Path, calls: list[str]) -> None:
    prepare(folder, SIZE)
    calls.clear()
    add_png(folder, "new")
    for name in ("images/png1.png", "masks/png1.png"):
        (folder / name).unlink()
    before = (folder / "masks/png2.png").stat()
    add_png(folder, "png2", 60)
    other = (folder / "masks/png2.png").read_bytes()
    (folder / "masks/png2.png").write_bytes(other.ljust(before.st_size, b"\0"))
    os.utime(folder / "masks/png2.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # the time is as it was
    found = prepare(folder, SIZE)
    assert sorted(calls) == ["new", "png2"]
    assert "png1" not in found.files and "new" in found.files
    assert_same(found, folder)


def test_a_file_that_was_only_touched_is_not_decoded_again(folder: Path, calls: list[str]) -> None:
    prepare(folder, SIZE)
    calls.clear()
    os.utime(folder / "images/png1.png", ns=(0, 0))
    assert_same(prepare(folder, SIZE), folder)
    assert not calls


def test_a_file_changed_just_after_it_was_read_is_noticed_though_its_times_are_coarse(folder: Path) -> None:
    """Some file systems count whole seconds: size and times of a recent file prove nothing."""
    entry, [pair, *_] = Entry("x", [[1, 2, 10**18]], 10**18 + 10**9, ["a"]), list_pairs(folder)
    source = cache_module.Source("x", (pair.image,))
    stamps, settled = source.stamps(), source.stamps()[0][2] + 3 * 10**9
    assert not entry.is_fresh(source)
    assert Entry("x", stamps, settled, ["a"]).is_fresh(source)
    assert not Entry("x", stamps, stamps[0][2] + 10**9, ["a"]).is_fresh(source)


def test_each_size_and_each_meaning_of_mask_values_has_its_own(folder: Path, calls: list[str]) -> None:
    prepare(folder, SIZE)
    assert_same(prepare(folder, 32), folder, 32)
    calls.clear()
    (folder / "dataset.json").write_text(
        json.dumps(
            {**MANIFEST, "classes": {"0": "background", "5": "duct", "2": "catheter"}, "annotated": ["catheter"]}
        )
    )
    load_site(folder, ("catheter", "duct"), SIZE)
    assert not calls  # a name changes no pixel
    (folder / "dataset.json").write_text(
        json.dumps({**MANIFEST, "classes": {"2": "background", "0": "vessel", "5": "catheter"}})
    )
    assert_same(prepare(folder, SIZE), folder)
    assert len(calls) == 11


@pytest.mark.parametrize("what", ["normalise", "letterbox"])
def test_pixels_of_an_earlier_version_are_made_anew(
    folder: Path, what: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder, SIZE)
    calls.clear()
    monkeypatch.setattr(getattr(prepared_module, what), "VERSION", 99)
    assert_same(prepare(folder, SIZE), folder)
    assert len(calls) == 11 and records_of(folder).stat().st_size == 16 * SIZE * SIZE * 5  # the old ones are gone


def test_records_of_files_that_are_gone_do_not_pile_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_SPARE", 4)
    sizes = []
    for _ in range(5):
        for path in folder.glob("images/png*"):
            write_png(path, RANDOM.integers(0, 256, sitk.GetArrayFromImage(sitk.ReadImage(str(path))).shape, np.uint8))
        assert_same(prepare(folder, SIZE), folder)
        sizes.append(records_of(folder).stat().st_size // (SIZE * SIZE * 5))
    assert max(sizes) <= 3 * 16


# Killed, and two at once


SCRIPT = """
import sys, time
from pathlib import Path
from fedefm.data import cache, manifest, prepared
cache._FLUSH = 0.02
made, fit = [], prepared.fit_pair
def slow(pair, manifest, size):
    time.sleep(0.01)
    made.append(pair.stem)
    return fit(pair, manifest, size)
prepared.fit_pair = slow
print("ready", flush=True)
sys.stdin.readline()
folder = Path(sys.argv[1])
prepared.prepare_pairs(folder, manifest.load_manifest(folder), 48)
print(len(made), flush=True)
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def many(folder: Path, count: int = 150) -> Path:
    for k in range(count):
        add_png(folder, f"{k:03d}", 50)
    (folder / "dataset.json").write_text(json.dumps(MANIFEST))
    return folder


def lines(folder: Path) -> int:
    return sum(index.read_bytes().count(b'"digests"') for index in (folder / FOLDER).glob(f"*/{INDEX}"))


def test_preparing_that_was_killed_goes_on_where_it_stopped(tmp_path: Path, calls: list[str]) -> None:
    folder = many(tmp_path)
    process = start(folder)
    go(process)
    while lines(folder) < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = lines(folder)
    assert 20 <= kept < 150
    seen: list[tuple[int, int]] = []
    found = prepare(folder, SIZE, progress=lambda done, total: seen.append((done, total)))
    assert len(calls) == 150 - kept
    assert seen[-1] == (150, 150)
    assert_same(found, folder)


def test_what_was_left_half_written_does_not_count(folder: Path, calls: list[str]) -> None:
    prepare(folder, SIZE)
    index, records = place_of(folder) / INDEX, records_of(folder)
    index.write_bytes(index.read_bytes().rstrip()[:-30])  # the last line: the stack
    with records.open("ab") as file:
        file.write(b"half a record")
    calls.clear()
    assert_same(prepare(folder, SIZE), folder)
    assert calls == ["stack"]
    calls.clear()
    assert_same(prepare(folder, SIZE), folder)
    assert not calls


def test_of_two_processes_one_waits_and_nothing_is_made_twice(tmp_path: Path) -> None:
    folder = many(tmp_path)
    processes = [start(folder) for _ in range(2)]
    for process in processes:
        go(process)
    made = [int(process.communicate(timeout=200)[0]) for process in processes]
    assert sorted(made) == [0, 150]
    assert records_of(folder).stat().st_size == 150 * SIZE * SIZE * 5
    assert_same(prepare(folder, SIZE), folder)


def test_a_file_that_changes_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copying(pair, manifest, size) -> Fitted:
        found = fit_pair(pair, manifest, size)
        with pair.image.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(prepared_module, "fit_pair", copying)
    with pytest.raises(DataError, match="was changed while it was read"):
        prepare(folder, SIZE)


# Damage


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 4]))


@pytest.mark.parametrize("damage", ["image", "mask", "cut", "gone"])
def test_a_damaged_record_is_made_again_and_nothing_changes(
    folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    length, size = SIZE * SIZE * 5, 16 * SIZE * SIZE * 5
    records = (prepare(folder, SIZE), records_of(folder))[1]
    if damage == "cut":
        os.truncate(records, size - length // 2)
    elif damage == "gone":
        os.truncate(records, 0)
    else:
        flip(records, 3 * length + (100 if damage == "image" else 4 * SIZE * SIZE + 100))
    with caplog.at_level(logging.WARNING):
        assert_same(prepare(folder, SIZE), folder)
    assert {"image": 1, "mask": 1, "cut": 1, "gone": 16}[damage] == len(caplog.messages)
    assert not [word for word in ("png", "single", "cine", "stack", str(folder)) if word in caplog.text]
    caplog.clear()
    assert_same(prepare(folder, SIZE), folder)
    assert not caplog.messages and records.stat().st_size == size  # the damage is mended on the disk


def test_a_damaged_record_of_a_file_that_was_changed_ends_the_work(folder: Path) -> None:
    found = prepare(folder, SIZE)
    flip(records_of(folder), found.files["png2"].numbers[0] * SIZE * SIZE * 5 + 8)
    add_png(folder, "png2", 60)
    with pytest.raises(DataError, match="changed while the job was at work"):
        found.read(found.files["png2"].numbers)


@pytest.mark.parametrize("line", range(12))
def test_a_flipped_bit_in_the_index_is_noticed(folder: Path, line: int) -> None:
    prepare(folder, SIZE)
    index = place_of(folder) / INDEX
    start = sum(len(one) + 1 for one in index.read_bytes().split(b"\n")[: line + (line > 0)])
    flip(index, start + 60)
    assert_same(prepare(folder, SIZE), folder)


def test_a_job_at_work_keeps_its_records_when_the_cache_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = prepare(folder, SIZE)
    monkeypatch.setattr(prepared_module.letterbox, "VERSION", 99)
    prepare(folder, SIZE)
    assert_same(at_work, folder)


# Its place


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user who may write only where everybody may; root could write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_to_is_prepared_in_the_users_cache(
    folder: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        place, home = Path(top) / "site", Path(top) / "home"
        shutil.copytree(folder, place)
        home.mkdir()
        home.chmod(0o777)
        for path in (Path(top), place):
            path.chmod(0o555)
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        with without_rights():
            assert_same(prepare(place, SIZE), place)
            calls.clear()
            assert_same(prepare(place, SIZE), place)
        Path(top).chmod(0o755)
        assert not calls and not (place / FOLDER).exists() and len(list((home / "fedefm").iterdir())) == 1
        with without_rights():
            home.chmod(0o777) if os.geteuid() == home.stat().st_uid else None
        home.chmod(0o555)
        shutil.rmtree(home / "fedefm")
        with without_rights(), pytest.raises(ConfigError, match="name a folder that may be written to as 'cache'"):
            prepare(place, SIZE)


def test_what_another_account_prepared_is_read_where_it_may_be(folder: Path, calls: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        place = Path(top) / "site"
        shutil.copytree(folder, place)
        prepare(place, SIZE)
        for path in [Path(top), place, *place.rglob("*")]:
            path.chmod(0o555)
        calls.clear()
        with without_rights():
            assert_same(prepare(place, SIZE), place)
        assert not calls
        for path in [Path(top), place, *place.rglob("*")]:
            path.chmod(0o755)


def test_the_hospital_may_name_the_place_and_folders_share_it(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for one in (folder, other):
        assert_same(prepare(one, SIZE, cache=tmp_path / "fast"), one)
        assert not (one / FOLDER).exists()
    assert len(list((tmp_path / "fast").iterdir())) == 2


def test_nobody_else_may_read_it_and_nothing_else_looks_into_it(folder: Path) -> None:
    before = describe_folder(folder)
    prepare(folder, SIZE)
    assert describe_folder(folder) == before
    place = place_of(folder)
    assert place.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.iterdir() if path.name != "lock")


def test_too_little_space_is_told_before_anything_is_decoded(
    folder: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 8, 1000))
    with pytest.raises(ConfigError, match=r"need 0\.0 GB or more, 0\.0 GB are free; .* 'cache'"):
        prepare(folder, SIZE)
    assert not calls


def test_the_log_tells_how_far_it_is_and_no_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prepared_module, "_TELL", -1.0)
    with caplog.at_level(logging.INFO):
        prepare(folder, SIZE)
    assert caplog.messages[-1] == "images prepared: 11 of 11" and len(caplog.messages) == 11
