"""What a job keeps on disk between two rounds, so that one that was killed goes on where it was.

A round that counts is a JSON file that names its weights by their fingerprints. The weights come first, each in a file
of its fingerprint's name, so that none is written twice; the round's own file comes last and is the commit point. The
two newest rounds stay: where the newest is damaged, the one before it is taken. All files are written beside their
places, flushed and renamed (`fedefm.files`), and nothing counts whose SHA-256 differs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fedefm.errors import CheckpointError, FedefmError
from fedefm.files import write_whole
from fedefm.maths.fingerprint import FINGERPRINTS
from fedefm.models.build import Weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.spec import ModelSpec

FOLDER = ".rounds"
"""Where rounds are kept, in a folder of results or of models; no job has such an id."""

GENERATIONS = 2
_ROUND, _WEIGHTS, _HALF = "round-*.json", "*.safetensors", ".*.part"

T = TypeVar("T")


class KeptRounds:
    """The rounds of one job in a folder of its own.

    Args:
        folder: of the job; made when the first weights are put there.
        spec: the network of all weights.
        classes: foreground classes, in label order.
        size: side of the images in pixels.
    """

    def __init__(self, folder: Path, spec: ModelSpec, classes: Sequence[str], size: int):
        self._folder, self._spec, self._classes, self._size = folder, spec, classes, size
        self._sound: set[str] = set()  # seen whole by this process: a damaged file would else be trusted again
        self._used: set[str] = set()

    def put(self, weights: Weights) -> str:
        """Write weights that are not there yet; the fingerprint by which a round may name them.

        Raises:
            ConfigError: they cannot be written; the rounds that are kept are untouched.
        """
        sha256 = FINGERPRINTS.of(weights)
        if sha256 not in self._sound:
            save_weights(self._place(sha256), weights, spec=self._spec, classes=self._classes, size=self._size)
            self._sound.add(sha256)
        self._used.add(sha256)
        return sha256

    def get(self, sha256: str) -> Weights:
        """Weights that a round names.

        Raises:
            CheckpointError: they are missing, damaged, or others than those.
        """
        found = load_weights(self._place(sha256), spec=self._spec)
        if found.sha256 != sha256:
            raise CheckpointError(f"{found.file}: holds other weights than its name says")
        self._sound.add(sha256)
        return found.weights

    def commit(self, done: int, state: Mapping[str, Any]) -> None:
        """Let a round count, with the weights that were put since the last one; older rounds than two go away.

        Args:
            done: rounds that are over.
            state: JSON-able values; NaN may be among them.

        Raises:
            ConfigError: it cannot be written; the rounds that are kept are untouched.
        """
        content = {"weights": sorted(self._used), "state": state}
        whole = {"sha256": _digest(content), "content": content}
        write_whole(self._folder / _ROUND.replace("*", f"{done:06d}"), json.dumps(whole, sort_keys=True) + "\n")
        self._used = set()
        self._tidy()

    def newest(self, read: Callable[[Any], T]) -> tuple[T, str] | None:
        """The newest round that is whole, and what was wrong with newer ones, in words; None where none is kept.

        Args:
            read: makes of a round's `state` what the job needs; it calls `get`, and what it raises damages the round.

        Raises:
            CheckpointError: rounds are kept, and none is whole.
        """
        damaged: list[str] = []
        for path in self._rounds():
            try:
                found = read(_content(path)["state"])
            except (FedefmError, KeyError, TypeError, ValueError):
                damaged.append(f"what was kept of round {int(path.stem.rpartition('-')[2])} is damaged")
                continue
            return found, "; ".join(damaged)
        if damaged:
            raise CheckpointError(
                f"{self._folder}: {'; '.join(damaged)}; remove this folder to start from the beginning"
            )
        return None

    def remove(self) -> None:
        """The job is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.parent.is_dir() and not any(self._folder.parent.iterdir()):
            self._folder.parent.rmdir()

    def _place(self, sha256: str) -> Path:
        return self._folder / _WEIGHTS.replace("*", sha256)

    def _rounds(self) -> list[Path]:
        """The files of the rounds, the newest first."""
        return sorted(self._folder.glob(_ROUND), reverse=True)

    def _tidy(self) -> None:
        """Remove older rounds, weights that no round names, and what was half written by a process that was killed."""
        newest, older = self._rounds()[:GENERATIONS], self._rounds()[GENERATIONS:]
        named = {self._place(sha256) for path in newest for sha256 in _weights_of(path)}
        stray = {*self._folder.glob(_WEIGHTS)} - named
        for path in (*older, *sorted(stray), *self._folder.glob(_HALF)):
            path.unlink(missing_ok=True)
        self._sound &= {path.stem for path in named}


def is_kept(folder: Path) -> bool:
    """Whether a folder of kept rounds holds any round, of whatever job."""
    return any(folder.glob(f"*/{_ROUND}"))


def job_digest(settings: Mapping[str, Any], *others: Any) -> str:
    """What a job must share with one that was killed to go on from it, as the name of a folder.

    Args:
        settings: that fix the job's result, JSON-able.
        others: JSON-able values that do so too.
    """
    return _digest([dict(settings), *others])[:32]


def _content(path: Path) -> dict[str, Any]:
    """What a round's file holds.

    Raises:
        CheckpointError: it cannot be read, or was changed.
    """
    try:
        whole = json.loads(path.read_text())
        content = whole["content"]
        sound = whole["sha256"] == _digest(content)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read") from error
    if not sound:
        raise CheckpointError(f"{path}: was changed (SHA-256 differs)")
    return content


def _weights_of(path: Path) -> Iterable[str]:
    try:
        return _content(path)["weights"]
    except CheckpointError:
        return ()


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
