"""Weights on the disk: the same to the last bit, gone when nobody holds them, and no more in memory than one tensor."""

import gc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fedefm.maths.averaging import between, mean_of, weighted_mean
from fedefm.maths.fingerprint import Fingerprints, weights_sha256
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights
from fedefm.models.schema import misfit, schema_of
from fedefm.models.stored import Shelf, StoredWeights, opened, write_weights


def weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "half": torch.randn(5, generator=generator).half(),
        "matrix": torch.randn(3, 4, generator=generator).t(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 2),
        "is": torch.tensor([True, False, True]),
        "ä name": torch.randn((), generator=generator),
    }


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "held", small=0)


def files(shelf: Shelf) -> list[Path]:
    gc.collect()
    return sorted(shelf._folder.glob("*"))


def test_a_file_is_one_of_safetensors_with_the_same_bits(tmp_path: Path) -> None:
    write_weights(tmp_path / "w", weights(1))
    assert weights_sha256(load_file(tmp_path / "w")) == weights_sha256(weights(1))


def test_what_is_put_there_is_the_same_in_every_way_of_reading_it(shelf: Shelf) -> None:
    stored = shelf.put(weights(1))
    assert isinstance(stored, StoredWeights) and shelf.put(stored) is stored
    assert nbytes(stored) == nbytes(weights(1))
    for read in (stored, opened(stored), dict(stored)):
        assert weights_sha256(read) == weights_sha256(weights(1))
    assert misfit(stored, schema_of(weights(2))) is None
    with pytest.raises(KeyError):
        stored["another"]


def test_a_file_goes_when_nobody_holds_it_and_what_is_open_stays_readable(shelf: Shelf) -> None:
    stored, other = shelf.put(weights(1)), shelf.put(weights(2))
    assert len(files(shelf)) == 2
    read = opened(stored)
    del stored
    assert len(files(shelf)) == 1
    assert torch.equal(read["matrix"], weights(1)["matrix"])
    shelf.clear()
    assert not files(shelf) and isinstance(other, StoredWeights)


def test_a_mean_of_stored_weights_is_that_of_weights_in_memory(shelf: Shelf) -> None:
    plain = {name: weights(seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    stored: dict[str, Weights] = {name: shelf.put(one) for name, one in plain.items()}
    shares = {"a": 0.3, "b": 1.0, "c": 0.25}
    mean = shelf.put(mean_of(stored, shares))
    assert weights_sha256(mean) == weights_sha256(weighted_mean(plain, shares))
    beyond = shelf.put(between(stored["a"], mean, 1.5))
    assert weights_sha256(beyond) == weights_sha256(dict(between(plain["a"], weighted_mean(plain, shares), 1.5)))


def test_a_disk_that_takes_no_more_costs_memory_alone(tmp_path: Path) -> None:
    (tmp_path / "held").write_text("no folder")
    shelf = Shelf(tmp_path / "held", small=0)
    assert weights_sha256(shelf.put(weights(1))) == weights_sha256(weights(1))


def test_small_weights_stay_in_memory(tmp_path: Path) -> None:
    assert isinstance(Shelf(tmp_path / "held").put(weights(1)), dict) and not (tmp_path / "held").exists()


def test_stored_weights_are_hashed_once_and_known_as_long_as_somebody_holds_them(shelf: Shelf) -> None:
    hashed = []

    def sha256(state: Weights) -> str:
        hashed.append(state)
        return weights_sha256(state)

    known, stored = Fingerprints(sha256), shelf.put(weights(1))
    assert known.of(stored) == known.of(stored) == weights_sha256(weights(1)) and len(hashed) == 1
    assert known.alive() == {weights_sha256(weights(1))}
    hashed.clear()
    del stored
    gc.collect()
    assert not known.alive()


def test_reading_all_of_many_stored_weights_leaves_hardly_any_of_them_mapped(tmp_path: Path) -> None:
    def mapped() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) * 1024

    shelf, size = Shelf(tmp_path / "held"), 40_000_000
    held = [shelf.put({f"w{k}": torch.full((size // 40,), float(one)) for k in range(10)}) for one in range(3)]
    before, total = mapped(), 0.0
    for one in held:
        total += sum(float(tensor.sum()) for tensor in one.values())
    assert total == pytest.approx(3 * size / 4)
    assert mapped() - before < size // 4  # one tensor of forty million bytes is four
