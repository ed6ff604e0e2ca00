"""The weights that a hospital has seen, on its own disk by their hash, so that it need not be sent them again.

Losing any of them costs a second way and nothing else, so nothing is flushed, and whatever goes wrong is answered by
keeping less: a file that is damaged goes away, and a disk that is full ends the keeping, never the work.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

from safetensors import SafetensorError
from torch import Tensor

from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import Weights
from fedefm.models.stored import StoredWeights, remove, write_weights

FOLDER = "seen_weights"
"""Of a job, at a hospital."""

_LOG = logging.getLogger(__name__)
_ENDING = ".safetensors"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(value: object) -> TypeGuard[str]:
    """Whether a value is a hash as `weights_sha256` writes it; only then may it name a file."""
    return type(value) is str and _SHA256.fullmatch(value) is not None


class WeightsStore:
    """Weights as they travelled, one file each, no more than a number of bytes in all.

    The bound holds for all such folders of the site together, those of jobs that were killed among them. What was not
    used for longest goes first.

    Args:
        folder: of the job, named `FOLDER`; made when the first weights are put there.
        limit: most bytes; 0 keeps nothing.
    """

    def __init__(self, folder: Path, limit: int):
        self._folder, self._limit = folder, limit
        self._own: set[str] = set()
        for half in folder.glob(".*"):  # of a process that was killed
            remove(half)

    @property
    def is_open(self) -> bool:
        """Whether anything is kept."""
        return self._limit > 0

    def put(self, sha256: str, weights: Mapping[str, Tensor]) -> Weights:
        """Keep weights under their hash, as far as there is room; where the disk takes no more, none is kept any more.

        Args:
            sha256: of these very weights; the caller has seen to that.
            weights: as they travelled.

        Returns:
            The same weights as they lie on the disk, or as they came where they are not kept.
        """
        size, place = sum(tensor.nbytes for tensor in weights.values()), self._place(sha256)
        if not self.is_open or size > self._limit:
            return weights
        part = place.with_name(f".{sha256}.{os.getpid()}")
        try:
            if place.exists():
                os.utime(place)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._make_room(size)
                write_weights(part, weights)
                part.replace(place)
            self._own.add(sha256)
            return StoredWeights(place).opened()  # mapped: another one's room may cost the file, not what is open
        except (OSError, SafetensorError):
            _LOG.warning("the disk takes no more weights; none are kept from now on: each is sent again when needed")
            self.give_up()
            return weights
        finally:
            remove(part)

    def get_all(self, hashes: Collection[str]) -> dict[str, Weights]:
        """Weights of these hashes, or of none where one is not kept: then all are asked for again sooner or later."""
        if len(self.holds(hashes)) < len(hashes):
            return {}
        found = {sha256: self.get(sha256) for sha256 in sorted(hashes)}
        return {sha256: weights for sha256, weights in found.items() if weights is not None}

    def get(self, sha256: object) -> Weights | None:
        """Weights of this hash, mapped from their file and hashed again; None where they are not kept, or damaged."""
        if not self.is_open or not is_sha256(sha256):
            return None
        place = self._place(sha256)
        try:
            stored = StoredWeights(place)
            weights = stored.opened() if weights_sha256(stored) == sha256 else None
            os.utime(place)
        except (OSError, SafetensorError, ValueError):
            weights = None
        if weights is None:
            remove(place)
            self._own.discard(sha256)
            return None
        self._own.add(sha256)
        return weights

    def holds(self, asked: Iterable[object]) -> list[str]:
        """Which of these hashes are kept, sorted."""
        return sorted({sha256 for sha256 in asked if is_sha256(sha256) and self._place(sha256).exists()})

    def keep(self, wanted: Collection[str]) -> None:
        """Drop what this job has put here and will not be asked for again."""
        for sha256 in self._own.difference(wanted):
            remove(self._place(sha256))
        self._own.intersection_update(wanted)

    def give_up(self) -> None:
        """Keep nothing from now on."""
        self._limit = 0
        self.clear()

    def clear(self) -> None:
        """The job is over."""
        self._own.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, sha256: str) -> Path:
        return self._folder / f"{sha256}{_ENDING}"

    def _make_room(self, size: int) -> None:
        """Drop what was not used for longest, until so many bytes more fit; names and dtypes take a little besides."""
        files = []
        for path in self._folder.parent.parent.glob(f"*/{FOLDER}/*{_ENDING}"):
            with suppress(OSError):  # another job has just dropped it
                status = path.stat()
                files.append((status.st_mtime_ns, path, status.st_size))
        left = self._limit - sum(size for _, _, size in files)
        for _, path, freed in sorted(files):
            if left >= size:
                break
            remove(path)
            left += freed
