"""A hospital's images, prepared for a network of one size: made once, kept beside them, and read batch by batch."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import SimpleITK
import torch

from fedefm.data import letterbox, normalise
from fedefm.data.cache import Entry, Kept, Made, Parts, Progress, Records, Source, keep
from fedefm.data.fitted import Fitted, fit_image, fit_pair, mask_type
from fedefm.data.folder import list_pairs
from fedefm.data.formats.reader import Spacing
from fedefm.data.manifest import Manifest
from fedefm.files import told

FOLDER = ".fedefm-prepared"
"""Within a hospital's folder, beside `images/` and `masks/`; nothing else looks into it."""

_VERSION = 2  # of what stands in a record, and of how files are read
# Another version of a library may give another last bit.
_LIBRARIES = [np.__version__, scipy.__version__, SimpleITK.Version_VersionString(), torch.__version__]
_TELL = 30.0  # s between two lines of the log

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class File:
    """What is kept of one image file.

    Attributes:
        numbers: of its frames, for `Prepared.read`.
        present: for each frame the mask positions that are somewhere in it.
        spacing_mm: millimetres of a pixel of the square, or None where the file does not state it.
        unreadable: why the file, or its mask, could not be read; None where it was.
    """

    numbers: range
    present: tuple[tuple[int, ...], ...]
    spacing_mm: Spacing | None
    unreadable: str | None


class Prepared:
    """Prepared images on the disk; a few at a time come into memory.

    Attributes:
        size: side of the square, in pixels.
        place: the folder that holds them.
        files: by the name of the source, in its order.
        megabytes: that all frames take, in 10^6 bytes.
    """

    def __init__(self, kept: Kept, size: int, masks: "np.dtype[Any] | None", make: Callable[[str], Made]):
        self.size, self._masks, self._records = size, masks, Records(kept, make)
        self.place = kept.records.parent
        self.files = {name: _file(entry) for name, entry in kept.entries.items()}
        self.megabytes = kept.length * sum(len(one.numbers) for one in self.files.values()) / 1e6

    def read(self, numbers: Sequence[int]) -> Parts:
        """Frames by their numbers.

        Returns:
            Images, float32, (b, s, s), and, if there are masks, their positions among the manifest's values, (b, s, s).

        Raises:
            DataError: a frame is damaged on the disk, and its file was changed.
        """
        shape = (len(numbers), self.size, self.size)
        parts = tuple(np.empty(shape, kind) for kind in _kinds(self._masks))
        for row, number in enumerate(numbers):
            self._records.read(number, tuple(part[row] for part in parts))
        return parts


def prepare_pairs(
    folder: Path,
    manifest: Manifest,
    size: int,
    *,
    cache: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Decode, normalise and resize every image and mask of a hospital's folder that was not yet, and open the result.

    It lies in `.fedefm-prepared` in the folder; where that cannot be written to, in the user's cache
    (`$XDG_CACHE_HOME/fedefm`, else `~/.cache/fedefm`). It hangs on the files, on the mask values that `dataset.json`
    declares and on the size, but not on the classes or splits of a job.

    Args:
        folder: holds `images/`, `masks/` and `dataset.json`.
        manifest: its `dataset.json`.
        size: side of the square frames, in pixels.
        cache: a folder of the hospital's choice in place of the two.
        threads: files at work at the same time.
        progress: called with (files done, files in all); None tells it in the log.

    Raises:
        DataError: where the folder is wrong, an image has no mask or one of another size, or a mask holds an undeclared
            value. Files that cannot be read are no error here.
        ConfigError: there is no place for it, or not enough space.
    """
    pairs = {pair.stem: pair for pair in list_pairs(folder)}
    sources = [Source(stem, (pair.image, pair.mask)) for stem, pair in pairs.items()]

    def make(stem: str) -> Made:
        return _made(fit_pair(pairs[stem], manifest, size))

    how = {"values": list(manifest.classes)}
    return _keep(folder, size, how, mask_type(manifest), sources, make, cache, threads, progress)


def prepare_images(
    folder: Path,
    paths: Mapping[str, Path],
    size: int,
    *,
    cache: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """The same for images without masks, by the name of each."""
    sources = [Source(stem, (path,)) for stem, path in paths.items()]

    def make(stem: str) -> Made:
        return _made(fit_image(paths[stem], size))

    return _keep(folder, size, {}, None, sources, make, cache, threads, progress)


def places(folder: Path, cache: Path | None = None) -> list[Path]:
    """Folders that may hold what is prepared of a hospital's folder, the first to be taken if it can be."""
    own = hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:16]
    if cache is not None:
        return [cache / own]
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    users = home if home.is_absolute() else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 pathlib's one may raise
    return [Path(folder) / FOLDER, users / "fedefm" / own]


def remove(folder: Path, cache: Path | None = None) -> list[Path]:
    """Delete all that was prepared of a hospital's folder, of every size, and say where it was.

    A job that reads it goes on: it keeps the files open.
    """
    found = [place for place in places(folder, cache) if place.is_dir()]
    for place in found:
        with told(place):
            shutil.rmtree(place)
    return found


def _keep(
    folder: Path,
    size: int,
    how: dict[str, Any],
    masks: "np.dtype[Any] | None",
    sources: Sequence[Source],
    make: Callable[[str], Made],
    cache: Path | None,
    threads: int,
    progress: Progress | None,
) -> Prepared:
    settings = {
        "size": size,
        **how,
        "versions": [_VERSION, normalise.VERSION, letterbox.VERSION, *_LIBRARIES],
    }
    within = f"{size}-{hashlib.sha256(str(how).encode()).hexdigest()[:8]}"
    length = sum(size * size * kind.itemsize for kind in _kinds(masks))
    with _one_thread_each():
        kept = keep(
            [place / within for place in places(folder, cache)],
            settings,
            length,
            sources,
            make,
            threads=threads,
            progress=progress or _teller(),
        )
    return Prepared(kept, size, masks, make)


def _made(fitted: Fitted) -> Made:
    note = {"spacing_mm": fitted.spacing_mm}
    if fitted.masks is None:
        return Made([(image,) for image in fitted.images], note)
    present = [np.flatnonzero(np.bincount(mask.ravel())).tolist() for mask in fitted.masks]
    return Made(list(zip(fitted.images, fitted.masks, strict=True)), {**note, "present": present})


def _file(entry: Entry) -> File:
    present = tuple(tuple(frame) for frame in entry.note.get("present", ()))
    numbers = range(entry.first, entry.first + len(entry.digests))
    rows_columns = entry.note.get("spacing_mm")
    spacing_mm = None if rows_columns is None else (float(rows_columns[0]), float(rows_columns[1]))
    return File(numbers, present, spacing_mm, entry.unreadable)


def _kinds(masks: "np.dtype[Any] | None") -> list["np.dtype[Any]"]:
    """Types of what stands in a record. Smaller ones for images would change every result in its last digits."""
    return [np.dtype(np.float32), *([] if masks is None else [masks])]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Files are read in threads already: torch must not start as many again in each of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _teller() -> Progress:
    """Progress in the log, now and then; counts alone."""
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            _log.info("images prepared: %d of %d", done, total)

    return tell
