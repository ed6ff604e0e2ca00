"""What a hospital keeps of the weights that it has seen: bounded, verified, and never the reason why work fails."""

import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import Weights
from fedefm.training.weights_store import FOLDER, WeightsStore

FLOATS = 1000
SIZE = 4 * FLOATS
ROOM = 3 * SIZE + 1000  # three, with the names and dtypes that stand before the values


def weights(value: float) -> Weights:
    return {"w": torch.full((FLOATS,), float(value))}


def put(store: WeightsStore, value: float, when: int | None = None) -> str:
    sha256 = weights_sha256(weights(value))
    store.put(sha256, weights(value))
    if when is not None:
        for file in files(store):
            if file.stem == sha256:
                os.utime(file, (when, when))
    return sha256


def files(store: WeightsStore) -> list[Path]:
    return sorted(store._folder.glob("*"))


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "job" / FOLDER, ROOM)


def test_what_was_put_comes_back_in_another_process_too(store: WeightsStore) -> None:
    sha256 = put(store, 1)
    again = WeightsStore(store._folder, ROOM)
    found = again.get(sha256)
    assert found is not None and torch.equal(found["w"], weights(1)["w"])
    assert again.holds([sha256, "0" * 64]) == [sha256]
    assert again.get("0" * 64) is None


def test_it_never_outgrows_its_bound_and_drops_what_was_not_used_for_longest(store: WeightsStore) -> None:
    hashes = [put(store, value, when=100 + value) for value in range(3)]
    assert store.get(hashes[0]) is not None  # used now
    put(store, 3)
    assert store.holds(hashes) == sorted([hashes[0], hashes[2]])
    for value in range(4, 20):
        put(store, value)
        assert sum(file.stat().st_size for file in files(store)) <= ROOM + 1000


def test_weights_larger_than_the_bound_are_not_kept_and_drop_nothing(store: WeightsStore) -> None:
    sha256, large = put(store, 1), {"w": torch.zeros(ROOM)}
    store.put(weights_sha256(large), large)
    assert store.holds([sha256, weights_sha256(large)]) == [sha256] and store.is_open


def test_what_killed_jobs_left_counts_and_goes_first(store: WeightsStore, tmp_path: Path) -> None:
    dead = WeightsStore(tmp_path / "killed" / FOLDER, ROOM)
    for value in range(3):
        put(dead, value, when=100 + value)
    for value in range(3, 6):
        put(store, value)
    assert files(dead) == [] and len(files(store)) == 3


def test_a_half_written_file_of_a_killed_process_goes_away(store: WeightsStore) -> None:
    put(store, 1)
    (store._folder / f".{'0' * 64}.1").write_bytes(b"half")
    assert len(files(WeightsStore(store._folder, ROOM))) == 1


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "other"])
def test_a_damaged_file_is_lacking_and_goes_away(store: WeightsStore, spoil: str) -> None:
    sha256, other = put(store, 1), put(store, 2)
    place = store._folder / f"{sha256}.safetensors"
    whole = place.read_bytes()
    place.write_bytes(
        {
            "flip": whole[:-1] + bytes([whole[-1] ^ 1]),
            "cut": whole[:-10],
            "empty": b"",
            "other": (store._folder / f"{other}.safetensors").read_bytes(),
        }[spoil]
    )
    assert store.get(sha256) is None and not place.exists()
    assert store.get(other) is not None
    put(store, 1)
    assert store.get(sha256) is not None


@pytest.mark.parametrize("name", ["../../secret", "", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", None, 5])
def test_only_a_hash_names_a_file(store: WeightsStore, tmp_path: Path, name: object) -> None:
    put(store, 1)  # the folder must be there, or no path leads through it
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    assert store.get(name) is None and store.holds([name]) == []  # type: ignore[arg-type, list-item]
    assert (tmp_path / "secret.safetensors").exists()


def test_what_is_not_wanted_any_more_is_dropped_but_nothing_of_another_process(store: WeightsStore) -> None:
    theirs = put(WeightsStore(store._folder, ROOM), 0)
    mine = [put(store, value) for value in (1, 2)]
    store.keep(mine[:1])
    assert store.holds([theirs, *mine]) == sorted([theirs, mine[0]])


def test_a_disk_that_is_full_ends_the_keeping_and_nothing_else(
    store: WeightsStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The system refuses to write beyond a limit on the size of a file, as a full disk does."""
    first = put(store, 1)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, before[1]))
    try:
        second = put(store, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not store.is_open and store.holds([first, second]) == [] and not store._folder.exists()
    assert "takes no more weights" in caplog.text
    put(store, 3)
    assert store.get(first) is None and not store._folder.exists()


def test_a_bound_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "job" / FOLDER, 0)
    assert store.get(put(store, 1)) is None and not store.is_open and list(tmp_path.iterdir()) == []
