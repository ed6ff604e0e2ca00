"""Rounds on disk: faults F6 and F7, with real files and a real full disk."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fedefm.errors import CheckpointError
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import Weights, initial_weights
from fedefm.training.kept import KeptRounds, is_kept, job_digest
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire")


@cache
def made(seed: int) -> Weights:
    return initial_weights(SMALLEST, 3, 32, seed)


def rounds(folder: Path) -> KeptRounds:
    return KeptRounds(folder / "job", SMALLEST, CLASSES, 32)


def keep(kept: KeptRounds, done: int, *weights: Weights) -> None:
    kept.commit(done, {"weights": [kept.put(one) for one in weights]})


def read(folder: Path) -> tuple[list[str], str] | None:
    """What an untouched process finds: fingerprints of the weights, read, and the note."""
    kept = rounds(folder)
    return kept.newest(lambda state: [weights_sha256(kept.get(name)) for name in state["weights"]])


def hashes(*weights: Weights) -> list[str]:
    return [weights_sha256(one) for one in weights]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with rounds 1 and 2; each has weights of its own."""
    kept = rounds(tmp_path)
    keep(kept, 1, made(1), made(2))
    keep(kept, 2, made(3), made(4))
    return tmp_path


def test_two_rounds_stay_and_the_newest_is_given(two: Path) -> None:
    assert is_kept(two) and read(two) == (hashes(made(3), made(4)), "")
    keep(rounds(two), 3, made(5))
    assert sorted(p.name for p in (two / "job").glob("*.json")) == ["round-000002.json", "round-000003.json"]
    assert {p.stem for p in (two / "job").glob("*.safetensors")} == {*hashes(made(3), made(4), made(5))}
    rounds(two).remove()
    assert not two.exists() and read(two) is None


def test_nothing_counts_before_its_round_does(tmp_path: Path) -> None:
    kept = rounds(tmp_path)
    kept.put(made(1))
    assert not is_kept(tmp_path) and read(tmp_path) is None


def test_weights_that_are_kept_already_are_not_written_again(two: Path) -> None:
    kept, place = rounds(two), two / "job" / f"{hashes(made(3))[0]}.safetensors"
    assert kept.newest(lambda state: [kept.get(name) for name in state["weights"]]) is not None
    before = place.stat()
    keep(kept, 3, made(3), made(5))
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert read(two) == (hashes(made(3), made(5)), "")


def test_a_damaged_file_of_a_killed_process_is_not_trusted_but_written_anew(two: Path) -> None:
    flip(two / "job" / f"{hashes(made(3))[0]}.safetensors")
    kept = rounds(two)
    keep(kept, 3, made(3))
    assert read(two) == (hashes(made(3)), "")


def flip(path: Path, at: float = 1.0) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 4
    path.write_bytes(data)


FAULTS: dict[str, Callable[[Path], Any]] = {
    "first bit": lambda path: flip(path, 0.0),
    "header": lambda path: flip(path, 0.01),
    "middle": lambda path: flip(path, 0.5),
    "last but one": lambda path: flip(path, 0.999),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
}


def names(folder: Path, done: int) -> list[Path]:
    """The files of a round: its own, and its weights."""
    own = folder / "job" / f"round-{done:06d}.json"
    return [own, *(p for p in sorted((folder / "job").glob("*.safetensors")) if p.stem in own.read_text())]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", range(3))
def test_a_damaged_newest_round_falls_back_and_says_so(two: Path, fault: str, file: int) -> None:
    FAULTS[fault](names(two, 2)[file])
    note = "" if (fault, file) == ("gone", 0) else "what was kept of round 2 is damaged"
    assert read(two) == (hashes(made(1), made(2)), note)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "gone"])
def test_with_both_damaged_there_is_one_line(two: Path, fault: str) -> None:
    for done in (1, 2):
        FAULTS[fault](names(two, done)[done])
    with pytest.raises(CheckpointError, match=r"round 2 is damaged.*round 1 is damaged; remove this folder") as caught:
        read(two)
    assert "\n" not in str(caught.value)


def test_weights_under_another_ones_name_are_refused(two: Path) -> None:
    _, first, second = names(two, 2)
    shutil.copy(first, second)
    assert read(two) == (hashes(made(1), made(2)), "what was kept of round 2 is damaged")


def test_what_a_killed_process_left_half_written_goes_away(two: Path) -> None:
    part, stray = two / "job" / ".x.safetensors.7.part", two / "job" / f"{'0' * 64}.safetensors"
    part.touch()
    stray.touch()
    keep(rounds(two), 3, made(5))
    assert not part.exists() and not stray.exists()


def test_a_value_of_nonsense_is_kept_as_it_is(tmp_path: Path) -> None:
    kept = rounds(tmp_path)
    kept.commit(1, {"loss": float("nan")})
    found = kept.newest(lambda state: str(state["loss"]))
    assert found == ("nan", "")


def test_jobs_are_told_apart() -> None:
    assert job_digest({"a": 1}) != job_digest({"a": 2}) != job_digest({"a": 2}, ["b"])
    assert job_digest({"a": 1, "b": 2}) == job_digest({"b": 2, "a": 1})


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from fedefm.errors import FedefmError
from training_kept_under_test import hashes, keep, made, read, rounds
disk = Path({disk!r})
kept = rounds(disk)
keep(kept, 1, made(1))
keep(kept, 2, made(2))
print("kept", read(disk) == (hashes(made(2)), ""))
{fault}
try:
    keep(kept, 3, *map(made, range(3, 40)))
except FedefmError as error:
    print(type(error).__name__, str(error).replace(str(disk), "DISK"))
print("still", read(disk) == (hashes(made(2)), ""), len(list(disk.rglob("*.part"))))
"""
FULL, READ_ONLY = "", "import os; os.system(f'mount -o remount,ro {disk}')"


def namespaces() -> bool:
    """Whether this machine lets a process mount a file system of its own."""
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(words, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(FULL, "No space left on device", id="full"),
        pytest.param(READ_ONLY, "Read-only file system", id="read only", marks=pytest.mark.slow),
    ],
)
def test_f6_a_full_or_read_only_disk_is_one_line_and_leaves_what_was_kept(
    tmp_path: Path, fault: str, reason: str
) -> None:
    """A file system of 8 MB of its own, which 37 sets of weights of a megabyte do not fit on."""
    if not namespaces():
        pytest.skip("this machine lets nobody mount")
    disk, modules = tmp_path / "disk", tmp_path / "modules"
    disk.mkdir()
    modules.mkdir()
    shutil.copy(__file__, modules / "training_kept_under_test.py")
    code = ON_A_SMALL_DISK.format(tests=str(modules), disk=str(disk), fault=fault)
    (modules / "main.py").write_text(code)
    script = f"mount -t tmpfs -o size=8m none {disk} && {sys.executable} {modules / 'main.py'}"
    words = ["unshare", "-rm", "sh", "-c", script]
    support = str(Path(__file__).parents[1])
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": support}, timeout=200)
    kept, error, still = done.stdout.splitlines()
    assert (kept, still) == ("kept True", "still True 0"), done.stderr
    assert error.startswith("ConfigError DISK/job/") and reason in error
