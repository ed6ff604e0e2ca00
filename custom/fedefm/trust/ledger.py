"""A ledger: one JSON line for each thing that happened, only ever added to, each line with the hash of the one before.

A line that was changed, taken out or put in is found and named. So is an end that was cut off: a file beside the
ledger holds number and hash of its last line. Whoever may write both files could still write a new ledger from end to
end; against that, note the hash of the last line elsewhere now and then, and verify with it.

    fedefm-outbox.jsonl            the lines of now
    fedefm-outbox.jsonl.000001     earlier ones, closed when they had grown; the chain goes on from file to file
    fedefm-outbox.jsonl.head       number and hash of the last line; locked while a line is added
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import TrustError
from fedefm.trust.certificates import utc_now
from fedefm.trust.exact import strict_json

JOBS, OUTBOX = "fedefm-jobs.jsonl", "fedefm-outbox.jsonl"
CLOSE_AT = 8_000_000
"""Bytes from which a file is closed, so that the next line begins a new one."""
FILES = rf"({re.escape(JOBS)}|{re.escape(OUTBOX)})(\.\d{{6}}|\.head)?"
"""Pattern of the names of all files of both ledgers."""
NOTHING = "0" * 64
_HEAD = re.compile(rb"(\d{12}) ([0-9a-f]{64})\n")
_REMEDY = "restore it from a backup, or move all files of this ledger to a safe place, so that a new one begins"

Line = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The end of a ledger.

    Attributes:
        lines: how many lines there are, those of earlier files among them.
        sha256: of the last one, with its line end.
    """

    lines: int = 0
    sha256: str = NOTHING


class Ledger:
    """Adds lines to a ledger, and reads it.

    Args:
        folder: where its files lie; only their owner may read them.
        name: of the file, such as `fedefm-outbox.jsonl`.
        close_at: bytes from which a file is closed.
    """

    def __init__(self, folder: Path, name: str, *, close_at: int = CLOSE_AT):
        self._path, self._close_at = folder / name, close_at

    def append(self, event: str, **said: Any) -> Line:
        """Add a line, and give it back when it is on the disk.

        Args:
            event: what happened.
            said: the rest of the line, as plain JSON values.

        Raises:
            TrustError: the ledger cannot be written, or its end is not as it was left; nothing was added.
        """
        with self._told(), _locked(self._head_path) as file:
            head = self._end(_parsed_head(os.pread(file, 100, 0)))
            line = {"line": head.lines + 1, "time": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}", "event": event}
            line |= said | {"before": head.sha256}
            data = json.dumps(line, allow_nan=False).encode() + b"\n"
            self._close_what_has_grown()
            _add(self._path, data)
            _write_head(file, Head(head.lines + 1, _sha256(data)))
        return line

    def read(self) -> list[Line]:
        """All lines, earlier files first, once the whole chain is checked.

        Raises:
            TrustError: a line is damaged, changed, missing or added, or the end was cut off; the first is named.
        """
        with self._told(), _shared(self._head_path) as file:
            head = None if file is None else _parsed_head(os.pread(file, 100, 0))
            return self._checked(list(self._lines()), head)

    def end(self) -> Head:
        """Number of lines and hash of the last one, to be noted elsewhere; look at `read` first."""
        number, last = 0, b""
        for number, last in enumerate(self._lines(), 1):  # noqa: B007 (both are used after the loop)
            pass
        return Head(number, _sha256(last)) if number else Head()

    def must_hold(self, sha256: str) -> None:
        """Refuse a ledger without the line whose hash was noted elsewhere.

        Raises:
            TrustError: no line has it.
        """
        if sha256.strip().casefold() not in map(_sha256, self._lines()):
            raise self._wrong(f"no line has the hash {sha256[:64]!r}, so that it was cut or written anew")

    @property
    def _head_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.head")

    def _files(self) -> list[Path]:
        closed = sorted(self._path.parent.glob(f"{self._path.name}.[0-9][0-9][0-9][0-9][0-9][0-9]"))
        return [*closed, *([self._path] if self._path.exists() else [])]

    def _lines(self) -> Iterator[bytes]:
        for path in self._files():
            yield from path.read_bytes().splitlines(keepends=True)

    def _close_what_has_grown(self) -> None:
        if self._path.exists() and self._path.stat().st_size >= self._close_at:
            self._path.rename(self._path.with_name(f"{self._path.name}.{len(self._files()):06d}"))

    def _end(self, head: Head | None) -> Head:
        """Where the next line goes. A line that a power cut left half written is taken away: nothing rested on it."""
        if head is None:  # a new ledger, or one of an older version, without a chain
            self._checked(list(self._lines()), None)
            return self.end()
        if self._path.exists():
            _drop_half_a_line(self._path)
        newest = next((path for path in reversed(self._files()) if path.stat().st_size), None)
        last = newest.read_bytes().splitlines(keepends=True)[-1] if newest else b""
        found = Head(head.lines, _sha256(last)) if last else Head()
        if found == head:
            return head
        self._checked(list(self._lines()), head)  # names what is wrong
        return self.end()  # the last line is whole and in its place; its number could not be noted any more

    def _checked(self, data: list[bytes], head: Head | None) -> list[Line]:
        lines: list[Line] = []
        chained, before = 0, Head()
        for number, text in enumerate(data, 1):
            line = self._parsed(number, text)
            if chained or "before" in line:
                chained += 1
                self._check_place(line, number, before)
            lines.append(line)
            before = Head(number, _sha256(text))
        if head is not None:
            self._check_end(data, head)
        elif chained > 1:  # after the first one alone the machine may have stopped before its number was noted
            raise self._wrong(f"{self._head_path.name} is missing")
        return lines

    def _check_place(self, line: Line, number: int, before: Head) -> None:
        said = line.get("line")
        if isinstance(said, int) and said > number:
            raise self._wrong(f"{_span(number, said - 1)} missing")
        if said != number:
            raise self._wrong(f"line {number} does not belong there")
        if line.get("before") != before.sha256:
            raise self._wrong(f"line {max(before.lines, 1)} was changed")

    def _check_end(self, data: list[bytes], head: Head) -> None:
        if len(data) < head.lines:
            raise self._wrong(f"{_span(len(data) + 1, head.lines)} missing at its end")
        if head.lines and _sha256(data[head.lines - 1]) != head.sha256:
            raise self._wrong(f"line {head.lines} was changed")
        if len(data) > head.lines + 1:  # one more may be: the machine stopped before its number was noted
            raise self._wrong(f"{_span(head.lines + 1, len(data))} added by somebody else")

    def _parsed(self, number: int, text: bytes) -> Line:
        try:
            line = strict_json(text) if text.endswith(b"\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise self._wrong(f"line {number} is damaged")
        return line

    def _wrong(self, fault: str) -> TrustError:
        return TrustError(f"{self._path.name} of this site: {fault}; {_REMEDY}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TrustError(
                f"{self._path.name} of this site: cannot be written or read ({reason}); free the disk, and give the "
                "account of the site the right to write there"
            ) from error


def _span(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parsed_head(data: bytes) -> Head | None:
    """What the file beside the ledger says; None where it is new."""
    if not data:
        return None
    match = _HEAD.fullmatch(data)
    if match is None:
        raise TrustError(f"the .head of a ledger of this site: damaged; {_REMEDY}")
    return Head(int(match.group(1)), match.group(2).decode())


def _write_head(file: int, head: Head) -> None:
    os.pwrite(file, f"{head.lines:012d} {head.sha256}\n".encode(), 0)
    os.fsync(file)


def _add(path: Path, data: bytes) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        before = os.fstat(opened).st_size
        try:
            if os.write(opened, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(opened)
        except OSError:
            os.ftruncate(opened, before)  # half a line would refuse every later one
            raise
    finally:
        os.close(opened)


def _drop_half_a_line(path: Path) -> None:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file beside the ledger, for one process at a time."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


@contextmanager
def _shared(path: Path) -> Iterator[int | None]:
    """The same to read; None where there is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file
    finally:
        os.close(file)
