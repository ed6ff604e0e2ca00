"""What became of each file of an export, line by line, so that a run that was ended goes on where it stopped.

It pairs names of the hospital with names that leave: a secret of the hospital, as the salt is.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from fedefm.errors import ConfigError
from fedefm.files import told

_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One file of the export.

    Attributes:
        file: its path below the source.
        stamp: size and time of change of it, and of its mask, when it was read.
        outs: what was written of it, by paths below the new folder; empty where it was held back.
        patient: the name in place of the patient's; empty where that was not reached.
        frames: number of frames.
        reason: why it was held back; None where it was not.
        crops: names of pictures of what may be text, in the folder of crops.
    """

    file: str
    stamp: list[list[int]]
    outs: list[str]
    patient: str = ""
    frames: int = 0
    reason: str | None = None
    crops: list[str] = field(default_factory=list)


class Journal:
    """Entries by file. `add` writes one at once; a line that a killed process left half written does not count."""

    def __init__(self, file: IO[bytes], entries: dict[str, Entry]):
        self._file, self.entries = file, entries

    def add(self, entry: Entry) -> None:
        """Keep what became of a file."""
        self.entries[entry.file] = entry
        self._file.write(_line(asdict(entry)))
        self._file.flush()


@contextmanager
def open_journal(path: Path, said: Mapping[str, Any]) -> Iterator[Journal]:
    """A journal to go on with, or a new one; no other process may write it meanwhile.

    Args:
        path: of the file; only its owner may read it.
        said: all that the work hangs on; a journal of other work is refused.

    Raises:
        ConfigError: it is of other work, or another process is at work.
    """
    head = {"version": _VERSION, **said}
    with told(path):
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")
    with file, told(path):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{path}: another process prepares this folder; wait until it has ended") from error
        lines = [found for line in file.read().split(b"\n") if (found := _parsed(line)) is not None]
        if not lines:
            file.truncate(0)
            file.write(_line(head))
        elif lines[0] != head:
            raise ConfigError(
                f"{path}: was begun with another source or other options; give those, or remove it to begin anew"
            )
        file.write(b"\n")  # ends a line that was left half written
        entries = {}
        for line in lines[1:]:
            with suppress(TypeError):
                entry = Entry(**line)
                entries[entry.file] = entry
        yield Journal(file, entries)


def _line(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
