"""Places where nothing can be written, by real means: a small disk, a read-only mount, a lost mount, a limit on files.

Mounts need a mount namespace of their own, which a process of its own enters: nothing outside it sees them.
"""

import contextlib
import ctypes
import io
import multiprocessing
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NEW_NAMESPACE, _READ_ONLY, _REMOUNT, _BIND, _PRIVATE, _LAZY = 0x20000, 1, 32, 4096, (1 << 18) | 16384, 2
PAGE = 4096
LARGE = 1 << 25
EARLIER = "earlier.safetensors"  # so that the place is a folder of models, which can be signed


class Tried(NamedTuple):
    """How a command ended, and what is left in its place."""

    code: int
    said: str
    left: list[str]


class Room:
    """A process in a mount namespace of its own; it runs one command after the other, so that imports are paid once."""

    def __init__(self) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(1)
        self.reason = self._pool.apply(_enter)

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def full(self, place: Path, free: int, *words: str) -> Tried:
        """Run `fedefm WORDS` where `place` is a disk with so many bytes free."""
        return self._pool.apply(_on_disk, (place, free, False, words))

    def read_only(self, place: Path, *words: str) -> Tried:
        """The same where `place` may only be read."""
        return self._pool.apply(_on_disk, (place, LARGE, True, words))

    def small_files(self, place: Path, most: int, *words: str) -> Tried:
        """The same where no file may grow beyond so many bytes."""
        return self._pool.apply(_with_small_files, (place, most, words))

    def call(self, function, *given):
        """Call a function of a test's module there."""
        return self._pool.apply(function, given)


def _libc(name: str, *given: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _enter() -> str | None:
    """Enter a mount namespace; the reason why this machine has none for us."""
    try:
        _libc("unshare", _NEW_NAMESPACE)
        _libc("mount", b"none", b"/", None, _PRIVATE, None)
    except OSError as error:
        return str(error)
    return None


@contextlib.contextmanager
def disk(place: Path, size: int = LARGE) -> Iterator[None]:
    """A disk of its own at `place`, with one earlier file; only in a process of `Room`."""
    place.mkdir(parents=True, exist_ok=True)
    _libc("mount", b"tmpfs", bytes(place), b"tmpfs", 0, f"size={size}".encode())
    try:
        (place / EARLIER).write_text("good")
        yield
    finally:
        with contextlib.suppress(OSError):
            _libc("umount2", bytes(place), _LAZY)


def lose(place: Path) -> None:
    """Take the disk away while somebody works on it."""
    _libc("umount2", bytes(place), _LAZY)


def fill(place: Path, free: int) -> None:
    """Leave so many bytes."""
    status = os.statvfs(place)
    with (place / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, (status.f_bfree * status.f_frsize - free) // PAGE * PAGE))


def run(words: tuple[str, ...]) -> tuple[int, str]:
    """Run `fedefm WORDS` in this process; its exit code, and what it said to a person."""
    from fedefm.cli import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(list(words))
    return code, said.getvalue()


def _on_disk(place: Path, free: int, read_only: bool, words: tuple[str, ...]) -> Tried:
    with disk(place):
        if read_only:
            _libc("mount", b"none", bytes(place), None, _REMOUNT | _READ_ONLY, None)
        else:
            fill(place, free)
        code, said = run(words)
        assert (place / EARLIER).read_text() == "good"
        return Tried(code, said, _left(place))


def _with_small_files(place: Path, most: int, words: tuple[str, ...]) -> Tried:
    place.mkdir(parents=True, exist_ok=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        code, said = run(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return Tried(code, said, _left(place))


def _left(place: Path) -> list[str]:
    found = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    return sorted(found - {EARLIER, "filler"})
