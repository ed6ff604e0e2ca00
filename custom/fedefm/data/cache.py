"""What was made of a hospital's files once, kept on its disk and read at the speed of memory.

A cache is a folder with two files. `records-*.bin` holds records of one length, one after another. `index.jsonl` holds
one line for each source (an image with its mask): which records are its own, the SHA-256 of each, and the size, times
and SHA-256 of its files when they were made. A line is written after its records and begins with its own checksum, so
what a killed process left half written does not count. Both files only grow: a job that reads them is not disturbed.

Records are read by position, not by a memory map: the system keeps them in memory all the same, a process holds only
the batch that it asked for, and a file that was cut short is an error instead of the end of the process.
"""

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedefm.data.fitted import UnreadableError
from fedefm.errors import ConfigError, DataError
from fedefm.files import told, write_whole

INDEX = "index.jsonl"
LOCK = "lock"
Progress = Callable[[int, int], None]
Parts = tuple[NDArray[Any], ...]
"""A record: some arrays, stored one after another."""

_log = logging.getLogger(__name__)
_PRIVATE = 0o600  # images are nobody else's business, whatever their own folder allows
_CHECK = 16  # letters of a line's checksum
_SETTLED = 2_000_000_000  # ns: a file that was changed later than this before it was read may change unseen
_FLUSH = 1.0  # s: the most work that a killed process loses
_SPARE = 256  # records that may lie unused before a cache is made anew


@dataclass(frozen=True)
class Source:
    """What records are made of.

    Attributes:
        name: tells it from the others of the cache.
        files: all that the records hang on.
    """

    name: str
    files: tuple[Path, ...]

    def stamps(self) -> list[list[int]]:
        """Size and times of each file, cheap to ask for; the time of the last change of a file cannot be set back."""
        found = [path.stat() for path in self.files]
        return [[one.st_size, one.st_mtime_ns, one.st_ctime_ns] for one in found]

    def hashes(self) -> list[str]:
        """SHA-256 of each file."""
        found = []
        for path in self.files:
            with path.open("rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        return found


@dataclass(frozen=True)
class Made:
    """What was made of a source.

    Attributes:
        records: one or more.
        note: what else is to be kept, as JSON.
    """

    records: Sequence[Parts]
    note: dict[str, Any]


Make = Callable[[str], Made]
"""Makes the records of a source by its name; raises `UnreadableError` where its files cannot be read."""


@dataclass(frozen=True)
class Entry:
    """A line of the index.

    Attributes:
        name: of the source.
        stamps: `Source.stamps` before it was read.
        seen: when that was, ns.
        hashes: `Source.hashes`.
        first: number of its first record; the others follow.
        digests: SHA-256 of each record.
        note: see `Made`.
        unreadable: why there is no record; None where there are.
    """

    name: str
    stamps: list[list[int]]
    seen: int
    hashes: list[str]
    first: int = 0
    digests: list[str] = field(default_factory=list)
    note: dict[str, Any] = field(default_factory=dict)
    unreadable: str | None = None

    def is_fresh(self, source: Source) -> bool:
        """Whether the files are as they were, by size and times alone."""
        try:
            same = self.stamps == source.stamps()
        except OSError:
            return False
        return same and bool(self.hashes) and all(self.seen - changed > _SETTLED for *_, changed in self.stamps)

    def is_same(self, source: Source) -> bool:
        """Whether the files are as they were, by their content."""
        try:
            return self.is_fresh(source) or (bool(self.hashes) and self.hashes == source.hashes())
        except OSError:
            return False


@dataclass(frozen=True)
class Kept:
    """A cache as its index says.

    Attributes:
        records: the file of the records.
        length: bytes of a record.
        entries: by the source's name.
    """

    records: Path
    length: int
    entries: Mapping[str, Entry]


def keep(
    places: Sequence[Path],
    settings: Mapping[str, Any],
    length: int,
    sources: Sequence[Source],
    make: Make,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Kept:
    """Make the records of all sources that have none yet, or whose files were changed; nothing is made twice.

    Of two processes that do this at once, one waits for the other. What was made stays when the process ends early.

    Args:
        places: folders that may be the cache; the first that is whole or can be written to is taken.
        settings: all that the records hang on besides the files, as JSON; where the cache has others it is made anew.
        length: bytes of a record.
        sources: all that is wanted.
        make: called in several threads.
        threads: how many.
        progress: called with (sources done, sources in all).

    Raises:
        ConfigError: no place can be written to, or there is no space.
        DataError: what `make` raises, but `UnreadableError`, which is kept in the source's entry.
    """
    for place in places:
        kept = _look(place, settings)
        if kept is not None and all(_fits(kept, source, Entry.is_fresh) for source in sources):
            return _only(kept, sources)
        if _can_write(place):
            with _locked(place):
                return _only(_fill(place, settings, length, sources, make, threads, progress), sources)
        if kept is not None and all(_fits(kept, source, Entry.is_same) for source in sources):
            return _only(kept, sources)
    raise ConfigError(
        f"{places[0]}: no place for prepared images (nor {', '.join(map(str, places[1:])) or 'any other'}); "
        "name a folder that may be written to as 'cache' in local/fedefm_site.json"
    )


class Records:
    """Reads records. Each is checked against its SHA-256 when it is first read, and made again where it is damaged.

    Args:
        kept: the cache.
        make: see `keep`.

    Raises:
        ConfigError: its file cannot be opened.
    """

    def __init__(self, kept: Kept, make: Make):
        self._length, self._make, self._path = kept.length, make, kept.records
        self._origin = {
            entry.first + k: (entry, k) for entry in kept.entries.values() for k in range(len(entry.digests))
        }
        self._checked: set[int] = set()
        with told(kept.records):
            self._file = os.open(kept.records, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def read(self, number: int, into: Parts) -> None:
        """Read a record.

        Args:
            number: of the record.
            into: arrays that are filled.

        Raises:
            DataError: it is damaged, and its files are not those any more that it was made of.
        """
        entry, k = self._origin[number]
        try:
            got = os.preadv(self._file, _views(into), number * self._length)
        except OSError:  # a disk that cannot read its own block
            got = 0
        if got != self._length or (number not in self._checked and _digest(into) != entry.digests[k]):
            self._mend(number, entry, k, into)
        self._checked.add(number)

    def _mend(self, number: int, entry: Entry, k: int, into: Parts) -> None:
        records = self._make(entry.name).records
        if k >= len(records) or _digest(records[k]) != entry.digests[k]:
            raise DataError("an image was changed while the job was at work; start the job again")
        for target, part in zip(into, records[k], strict=True):
            target[...] = part
        _log.warning("a prepared image was damaged on the disk and was made again from its file")
        with suppress(OSError):  # the same bytes from every process; where they cannot be written they are made again
            file = os.open(self._path, os.O_WRONLY)
            try:
                os.pwritev(file, _views(into), number * self._length)
            finally:
                os.close(file)


def _look(place: Path, settings: Mapping[str, Any]) -> Kept | None:
    """What the index says; None where there is none, or one of other settings."""
    try:
        lines = (place / INDEX).read_bytes().split(b"\n")
    except OSError:
        return None
    head, *rest = (_parse(line) for line in lines)
    if head is None or head.get("settings") != settings or not (place / head["records"]).is_file():
        return None
    entries = {fields["name"]: Entry(**fields) for fields in rest if fields is not None}  # the later line counts
    return Kept(place / head["records"], head["length"], entries)


def _fits(kept: Kept, source: Source, holds: Callable[[Entry, Source], bool]) -> bool:
    entry = kept.entries.get(source.name)
    return entry is not None and holds(entry, source)


def _only(kept: Kept, sources: Sequence[Source]) -> Kept:
    return replace(kept, entries={source.name: kept.entries[source.name] for source in sources})


def _fill(
    place: Path,
    settings: Mapping[str, Any],
    length: int,
    sources: Sequence[Source],
    make: Make,
    threads: int,
    progress: Progress | None,
) -> Kept:
    kept = _look(place, settings)
    if kept is None or _is_wasteful(kept, sources):
        kept = _begin(place, settings, length)
    missing = [source for source in sources if not _fits(kept, source, Entry.is_fresh)]
    _check_space(place, length * sum(source.name not in kept.entries for source in missing))
    done, entries = len(sources) - len(missing), dict(kept.entries)

    def work(source: Source) -> tuple[Entry, Sequence[Parts]]:
        return _work(source, kept.entries.get(source.name), make)

    with _Writer(kept) as writer, ThreadPoolExecutor(threads) as pool:
        for entry, records in _in_order(pool, missing, work, threads):
            entries[entry.name] = writer.add(entry, records)
            done += 1
            if progress is not None:
                progress(done, len(sources))
    return replace(kept, entries=entries)


def _work(source: Source, before: Entry | None, make: Make) -> tuple[Entry, Sequence[Parts]]:
    """What is to be written for a source: nothing but a new line where its files are the same after all."""
    seen = time.time_ns()
    try:
        stamps, hashes = source.stamps(), source.hashes()
    except OSError as error:
        reason = f"cannot open {Path(error.filename).name}: {error.strerror}; check its permissions"
        return Entry(source.name, [], seen, [], unreadable=reason), ()
    if before is not None and before.hashes == hashes:
        return replace(before, stamps=stamps, seen=seen), ()
    try:
        made = make(source.name)
    except UnreadableError as error:
        return Entry(source.name, stamps, seen, hashes, unreadable=str(error)), ()
    if source.stamps() != stamps:
        raise DataError(f"{source.files[0].name} was changed while it was read; start again when the copying has ended")
    digests = [_digest(record) for record in made.records]
    return Entry(source.name, stamps, seen, hashes, digests=digests, note=made.note), made.records


def _in_order(
    pool: ThreadPoolExecutor,
    sources: Sequence[Source],
    work: Callable[[Source], tuple[Entry, Sequence[Parts]]],
    threads: int,
) -> Iterator[tuple[Entry, Sequence[Parts]]]:
    """Results in the order of the sources, with few of them in memory at once."""
    left = iter(sources)
    waiting: list[Future[tuple[Entry, Sequence[Parts]]]] = [pool.submit(work, one) for one in islice(left, 2 * threads)]
    try:
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, one) for one in islice(left, 1)]
    finally:
        for job in waiting:
            job.cancel()


class _Writer:
    """Appends to a cache whose lock is held: records first, then the lines.

    Nothing is forced to the disk: what a power cut takes away fails its checksum, and is made again.
    """

    def __init__(self, kept: Kept):
        self._kept, self._lines, self._flushed = kept, list[bytes](), time.monotonic()

    def __enter__(self) -> "_Writer":
        with told(self._kept.records):
            self._records = os.open(self._kept.records, os.O_RDWR)
            self._index = os.open(self._kept.records.with_name(INDEX), os.O_RDWR | os.O_APPEND)
            size = os.fstat(self._records).st_size
        self._next = -(-size // self._kept.length)  # behind a record that was left half written
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._flush()
        finally:
            os.close(self._records)
            os.close(self._index)

    def add(self, entry: Entry, records: Sequence[Parts]) -> Entry:
        """Write a source's records, if there are any, and its line; gives the entry with its place."""
        if records:
            entry = replace(entry, first=self._next)
        for record in records:
            views = _views(record)
            with told(self._kept.records):
                wrote = os.pwritev(self._records, views, self._next * self._kept.length)
                if wrote < self._kept.length:  # on a full disk; once more, and the system says why
                    os.pwrite(self._records, b"".join(views)[wrote:], self._next * self._kept.length + wrote)
            self._next += 1
        if entry.hashes:  # what could not be opened is tried again each time
            self._lines.append(_line(asdict(entry)))
        if time.monotonic() - self._flushed > _FLUSH:
            self._flush()
        return entry

    def _flush(self) -> None:
        if self._lines:
            with told(self._kept.records):
                os.write(self._index, b"\n" + b"".join(self._lines))  # a line that was left half written ends here
        self._lines, self._flushed = [], time.monotonic()


def _begin(place: Path, settings: Mapping[str, Any], length: int) -> Kept:
    """An empty cache in place of what is there."""
    records = place / f"records-{secrets.token_hex(4)}.bin"
    with told(records):
        os.close(os.open(records, os.O_CREAT | os.O_EXCL, _PRIVATE))
    head = {"settings": settings, "length": length, "records": records.name}
    write_whole(place / INDEX, _line(head), mode=_PRIVATE)
    for old in place.glob("records-*.bin"):
        if old != records:
            old.unlink()  # a job that reads it keeps it open
    return Kept(records, length, {})


def _is_wasteful(kept: Kept, sources: Sequence[Source]) -> bool:
    """Whether more records lie there for nothing than are of use: of files that were changed or are gone."""
    used = sum(len(kept.entries[one.name].digests) for one in sources if one.name in kept.entries)
    unused = kept.records.stat().st_size // kept.length - used
    return unused > max(used, _SPARE)


def _check_space(place: Path, least: int) -> None:
    free = shutil.disk_usage(place).free
    if least > free:
        raise ConfigError(
            f"{place}: prepared images need {least / 1e9:.1f} GB or more, {free / 1e9:.1f} GB are free; "
            "free some space there, or name a folder on another disk as 'cache' in local/fedefm_site.json"
        )


def _can_write(place: Path) -> bool:
    try:
        place.mkdir(0o700, parents=True, exist_ok=True)
        (place / LOCK).open("ab").close()
    except OSError:
        return False
    return True


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Wait until no other process writes there; the system ends the lock with the process."""
    with (place / LOCK).open("ab") as file:
        with told(place):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(record: Parts) -> str:
    whole = hashlib.sha256()
    for view in _views(record):
        whole.update(view)
    return whole.hexdigest()


def _views(record: Parts) -> list[memoryview]:
    return [np.ascontiguousarray(part).data.cast("B") for part in record]


def _line(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest()[:_CHECK].encode() + b" " + text + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    """The content of a line; None where it is not whole."""
    check, _, text = line.partition(b" ")
    if hashlib.sha256(text).hexdigest()[:_CHECK].encode() != check:
        return None
    found: dict[str, Any] = json.loads(text)
    return found
