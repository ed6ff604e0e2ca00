"""All that jobs prepare of a hospital's folder at their start, made before one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.cache import Progress
from fedefm.data.dataset import prepare_unlabelled
from fedefm.data.grouped import place_images
from fedefm.data.manifest import load_manifest
from fedefm.data.prepared import Prepared, prepare_pairs
from fedefm.errors import ConfigError


@dataclass(frozen=True)
class Filled:
    """What is prepared of a folder.

    Attributes:
        place: the folder of the images that have masks.
        files: image files with masks.
        frames: of them.
        unlabelled: frames without masks, where `dataset.json` says that they take part.
        unreadable: files, with masks or without, that cannot be read.
        megabytes: of all frames, in 10^6 bytes.
    """

    place: Path
    files: int
    frames: int
    unlabelled: int
    unreadable: int
    megabytes: float


def fill(
    folder: Path, size: int, *, cache: Path | None = None, threads: int = 1, progress: Callable[[str], Progress]
) -> Filled:
    """Prepare the images of a folder as a job of this size would; what was prepared before stays.

    Args:
        folder: holds `images/`, `masks/` and `dataset.json`, and `unlabelled/` where images without masks take part.
        size: side of the job's frames, in pixels.
        cache: see `prepare_pairs`.
        threads: files at work at the same time.
        progress: gives for what is done a function that is called with (files done, files in all).

    Raises:
        DataError: see `prepare_pairs`; or images without masks are declared and there are none.
        ConfigError: the size or the number of threads is below 1, or there is no place or no space.
    """
    if size < 1 or threads < 1:
        raise ConfigError("--size and --threads: give 1 or more")
    manifest = load_manifest(folder)
    placed = place_images(folder, manifest, cache=cache, threads=threads, progress=progress("images looked at"))
    pairs = prepare_pairs(folder, manifest, size, cache=cache, threads=threads, progress=progress("images prepared"))
    found = [pairs]
    if manifest.unlabelled:
        told = progress("images without masks prepared")
        found.append(prepare_unlabelled(folder, manifest, placed, size, cache=cache, threads=threads, progress=told)[0])
    return Filled(
        place=pairs.place,
        files=len(pairs.files),
        frames=_frames(pairs),
        unlabelled=sum(map(_frames, found[1:])),
        unreadable=sum(file.unreadable is not None for one in found for file in one.files.values()),
        megabytes=sum(one.megabytes for one in found),
    )


def _frames(prepared: Prepared) -> int:
    return sum(len(file.numbers) for file in prepared.files.values())
