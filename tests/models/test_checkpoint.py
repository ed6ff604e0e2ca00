import dataclasses
import json
import multiprocessing
import os
import random
import resource
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fedefm.errors import CheckpointError, ConfigError
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import MAX_BYTES, load_weights, save_weights
from fedefm.models.spec import ModelSpec
from support.hostile_files import FAULTS, HUGE, write_hostile
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire")
TINY = initial_weights(SMALLEST, 3, 64, seed=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights(tmp_path / "tiny.safetensors", TINY, spec=SMALLEST, classes=CLASSES, size=64)
    return tmp_path / "tiny.safetensors"


def refused(path: Path, **wanted: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_weights(path, **wanted)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_what_was_saved_comes_back_bit_by_bit(tmp_path: Path) -> None:
    weights = initial_weights(SMALLEST, 3, 64, seed=1)
    file = tmp_path / "new" / "theta.safetensors"
    sha256 = save_weights(file, weights, spec=SMALLEST, classes=CLASSES, size=64)
    found = load_weights(file, spec=SMALLEST, classes=3)
    assert weights_sha256(found.weights) == found.sha256 == sha256 == weights_sha256(weights)
    assert (found.spec, found.classes, found.size) == (SMALLEST, CLASSES, 64)
    assert [p.name for p in file.parent.iterdir()] == ["theta.safetensors"]


@pytest.mark.parametrize("fault", [*FAULTS, "huge"])
def test_what_no_network_of_that_header_has_is_refused(fault: str, tmp_path: Path) -> None:
    said = write_hostile(tmp_path / "hostile.safetensors", fault)
    assert said in refused(tmp_path / "hostile.safetensors")


def _measured(good: Path, huge: list[Path], told: "multiprocessing.SimpleQueue[tuple[str, float, int]]") -> None:
    load_weights(good)  # what a first network costs once: imports
    for path in huge:
        begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_weights(path)
        except CheckpointError as error:
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            told.put((str(error), time.process_time() - begin, grown // 1024))


def test_a_few_bytes_that_declare_a_huge_network_cost_neither_time_nor_memory(path: Path, tmp_path: Path) -> None:
    declared = {
        "wide": HUGE.options,
        "widest": {"encoder_depth": 4, "decoder_channels": [16384] * 4},
        "deepest": {"encoder_depth": 4, "decoder_channels": [16] * 4, "layers": [16384] * 4},
    }
    huge = [tmp_path / name for name in declared]
    for file, options in zip(huge, declared.values(), strict=True):
        spec = dataclasses.replace(SMALLEST, options=options)
        save_weights(file, {"x": torch.zeros(1)}, spec=spec, classes=CLASSES, size=64)
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    process = context.Process(target=_measured, args=(path, huge, told))
    process.start()
    process.join(250)
    for file in huge:
        said, seconds, megabytes = told.get()
        assert str(file) in said and seconds < 1 and megabytes < 100, (said, seconds, megabytes)
        print(file.name, seconds, megabytes)


def test_a_file_that_is_no_file_or_beyond_all_size_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "no file of weights has more" in refused(tmp_path / "sparse")
    (tmp_path / "long").write_bytes((10**9).to_bytes(8, "little") + b"{}")
    assert "not safetensors" in refused(tmp_path / "long")


def test_the_same_weights_give_the_same_file(path: Path, tmp_path: Path) -> None:
    shuffled = dict(reversed(TINY.items()))
    save_weights(tmp_path / "again.safetensors", shuffled, spec=SMALLEST, classes=CLASSES, size=64)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_any_flipped_bit_is_refused(path: Path) -> None:
    data, source = path.read_bytes(), random.Random(0)
    for place in source.sample(range(8 * len(data)), 200):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert refused(path)


def test_every_bit_of_the_class_names_counts(path: Path) -> None:
    """A file whose classes had changed places would mislabel every pixel."""
    data = path.read_bytes()
    at = data.index(b"catheter")
    for bit in range(8 * len(b"catheter")):
        flipped = bytearray(data)
        flipped[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        refused(path)


def test_any_truncated_file_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for length in {0, 1, 7, 8, 9, *range(10, len(data), len(data) // 40), len(data) - 1}:
        path.write_bytes(data[:length])
        refused(path)
    path.write_bytes(data + b"\0")
    refused(path)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x03\x04", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"])
def test_another_kind_of_file_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refused(path)


@pytest.mark.parametrize(
    "header",
    [
        None,
        {},
        {"fedefm": "{"},
        {"fedefm": "[]"},
        {"fedefm": "5"},
        {"fedefm": "[" * 100_000},
        {"fedefm": json.dumps({"spec": {}, "classes": [], "size": 1e999, "sha256": "", "seal": ""})},
        {"fedefm": json.dumps({"spec": {}, "classes": [1, {}], "size": 64, "sha256": "", "seal": ""})},
        {"fedefm": json.dumps({"spec": {}, "classes": [], "size": -5, "sha256": "", "seal": ""})},
        {"fedefm": json.dumps({"spec": {"architecture": 5}, "classes": [], "size": 64, "sha256": "", "seal": ""})},
        {
            "fedefm": json.dumps(
                {"spec": {"encoder": "tu-hf-hub:a/b"}, "classes": [], "size": 64, "sha256": "", "seal": ""}
            )
        },
        {
            "fedefm": json.dumps(
                {"spec": {"options": {"classes": 3}}, "classes": [], "size": 1, "sha256": "", "seal": ""}
            )
        },
    ],
)
def test_foreign_safetensors_are_refused(path: Path, header: dict[str, str] | None) -> None:
    save_file(TINY, path, header)
    refused(path)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.safetensors")
    refused(tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        dataclasses.replace(SMALLEST, architecture="FPN"),
        dataclasses.replace(SMALLEST, options={"encoder_depth": 3}),
        ModelSpec("Unet", "resnet18"),
    ],
)
def test_weights_of_another_network_are_refused(path: Path, spec: ModelSpec) -> None:
    assert "another architecture" in refused(path, spec=spec)


def test_another_number_of_classes_is_refused(path: Path) -> None:
    assert "3 classes" in refused(path, classes=4)
    assert load_weights(path, classes=3).classes == CLASSES


def test_where_the_start_weights_came_from_does_not_matter(path: Path) -> None:
    load_weights(path, spec=dataclasses.replace(SMALLEST, pretrained="imagenet"))


def test_a_failed_save_keeps_the_old_file(path: Path) -> None:
    """A full disk is played by a folder in the place of the part; a real one stands in `tests/test_files.py`."""
    before = path.read_bytes()
    (path.parent / f".{path.name}.{os.getpid()}.part").mkdir()
    with pytest.raises(ConfigError, match=r"tiny.safetensors: cannot be written"):
        save_weights(path, {"x": torch.zeros(2)}, spec=SMALLEST, classes=CLASSES, size=64)
    assert path.read_bytes() == before
