"""Spoilt files to every reader: none may crash the process, hang, take memory without bound, or end in another error.

    python benchmarks/fuzz_readers.py                       10 minutes
    python benchmarks/fuzz_readers.py --seconds 120 --seed 7
    python benchmarks/fuzz_readers.py --keep found/         files that break a reader are kept there

Guided by coverage: a spoilt file that reaches lines of `fedefm/data` which none reached before is spoilt further.
Readers run in a process of their own, with bounds of memory and of time a file; one that dies is started again, and the
file that killed it is told. Exits with 1 where anything was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import fedefm.data

MEMORY = 2 << 30  # bytes of address space above what the libraries take
SECONDS = 20.0  # a file; the slowest of the seeds takes some milliseconds
_HERE = str(Path(fedefm.data.__file__).parent)
_WORDS = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"-1",
    b"9999999999",
)


def spoil(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A few changes, as transfers and hostile hands make them; most of them near the beginning, where headers are."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if not spoilt:
            break
        at = int(len(spoilt) * rng.random() ** rng.choice((1, 3, 6)))
        kind = rng.randrange(6)
        if kind == 0:
            spoilt[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            word = rng.choice(_WORDS)
            spoilt[at : at + len(word)] = word
        elif kind == 2:
            del spoilt[at : at + rng.choice((1, 2, 4, 16, 256))]
        elif kind == 3:
            spoilt[at:at] = spoilt[at : at + rng.choice((1, 4, 64))]
        elif kind == 4:
            del spoilt[at:]
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other)) if other else 0
            spoilt[at : at + 32] = other[start : start + rng.choice((4, 16, 64))]
    return bytes(spoilt)


class _Lines:
    """Which lines of the readers were reached; a line is told once."""

    def __init__(self) -> None:
        self.new: set[tuple[str, int]] = set()
        self._seen: set[tuple[str, int]] = set()

    def __enter__(self) -> _Lines:
        sys.settrace(self._call)
        return self

    def __exit__(self, *why: object) -> None:
        sys.settrace(None)

    def take(self) -> int:
        """How many new ones there are since the last time."""
        fresh, self.new = self.new - self._seen, set()
        self._seen |= fresh
        return len(fresh)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        code: CodeType = frame.f_code
        return self._line if code.co_filename.startswith(_HERE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        self.new.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def _read(path: Path) -> str | None:
    """Everything that is asked of a file; None where it is read or refused in one line."""
    from fedefm.data.readers import open_file, read_frames, read_image, read_mask, read_shape
    from fedefm.errors import DataError

    for ask in (read_shape, read_image, read_mask, lambda path: list(read_frames(open_file(path)))):
        try:
            ask(path)
        except DataError as error:
            if "\n" in str(error) or path.name not in str(error):
                return f"a message without its name, or of several lines: {error!s:.200}"
        except BaseException as error:  # whatever it is, it is found
            return f"{type(error).__name__}: {error!s:.200}"
    return None


def _worker(pipe: Connection, folder: Path) -> None:
    import fedefm.data.readers  # noqa: F401 before memory is bounded

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lines = _Lines()
    while (asked := pipe.recv()) is not None:
        name, data = asked
        path = folder / name
        path.write_bytes(data)
        with lines:
            found = _read(path)
        path.unlink()
        pipe.send((lines.take(), found))


class _Readers:
    """The process that reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start()

    def ask(self, name: str, data: bytes) -> tuple[int, str | None]:
        """How many new lines a file reached, and what is wrong."""
        try:
            self._pipe.send((name, data))
            if self._pipe.poll(SECONDS):
                new, found = self._pipe.recv()
                return int(new), found
            found = f"no answer within {SECONDS:g} s"
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            found = f"the process died ({signal.Signals(-code).name if code and code < 0 else code})"
        self.stop()
        self._start()
        return 0, found

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_worker, args=(theirs, self._folder), daemon=True)
        self._process.start()
        theirs.close()


def fuzz(seeds: list[Path], seconds: float, seed: int, keep: Path | None) -> dict[str, int]:
    """Spoil files for some time; what was found, and how often."""
    rng, found = random.Random(seed), dict[str, int]()
    corpus = [(path.name, path.read_bytes()) for path in seeds]
    with tempfile.TemporaryDirectory(prefix="fedefm-fuzz-") as folder:
        readers = _Readers(Path(folder))
        try:
            for name, data in corpus:
                if (wrong := readers.ask(name, data)[1]) is not None:
                    found[f"{name} as it is: {wrong}"] = 1
            until, tried, told = time.monotonic() + seconds, 0, time.monotonic()
            while time.monotonic() < until:
                name, data = rng.choice(corpus)
                spoilt = spoil(data, [other for _, other in corpus], rng)
                new, wrong = readers.ask(name, spoilt)
                tried += 1
                if wrong is not None:
                    kind = f"{Path(name).suffix} {wrong}"
                    found[kind] = found.get(kind, 0) + 1
                    if keep is not None and found[kind] <= 3:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{tried}-{name}").write_bytes(spoilt)
                elif new and len(corpus) < 4000:
                    corpus.append((name, spoilt))
                if time.monotonic() - told > 30:
                    told = time.monotonic()
                    print(
                        f"{tried} files, {len(corpus) - len(seeds)} kept for new lines, {len(found)} findings",
                        flush=True,
                    )
        finally:
            readers.stop()
    print(f"{tried} files in {seconds:g} s, {len(corpus) - len(seeds)} kept for new lines, {len(found)} findings")
    return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files in the same order (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for files that break a reader")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.reader_seeds import write_seeds

    with tempfile.TemporaryDirectory(prefix="fedefm-seeds-") as folder:
        found = fuzz(write_seeds(Path(folder)), options.seconds, options.seed, options.keep)
    for kind, count in sorted(found.items(), key=lambda one: -one[1]):
        print(f"{count:6} x {kind}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
