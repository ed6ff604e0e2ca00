"""Which patient and which split each image of a folder is in: the one answer for training, export and import."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from fedefm.data.cache import Made, Progress, Records, Source, keep
from fedefm.data.fitted import UnreadableError
from fedefm.data.folder import UNLABELLED, list_pairs, list_unlabelled
from fedefm.data.grouping.groups import UNREAD, Facts, find_evidence, is_stated, joined, patients_by
from fedefm.data.grouping.headers import identity_of
from fedefm.data.grouping.looks import SIDE, VERSION, looks_of
from fedefm.data.manifest import Manifest
from fedefm.data.prepared import places
from fedefm.data.readers import read_image
from fedefm.data.splits import assign_splits
from fedefm.errors import DataError

LOOKS = "looks"
"""Within the folder for prepared images."""
_SALT = secrets.token_bytes(16)  # of this process: what it hashes of headers compares with each other, and is not kept


@dataclass(frozen=True)
class Placed:
    """Where the images of a folder belong.

    Attributes:
        patient_of: stem to patient.
        split_of: patient to `train`, `val` or `test`.
        facts: stem to what is known of the image; empty where `dataset.json` states what is asked.
    """

    patient_of: Mapping[str, str]
    split_of: Mapping[str, str]
    facts: Mapping[str, Facts] = field(default_factory=dict, compare=False, repr=False)


def place_images(
    folder: Path,
    manifest: Manifest,
    *,
    cache: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Placed:
    """Group the images of a folder into patients, and split these.

    Where `dataset.json` states patients or splits no file is opened. Otherwise each is read once, and how it looks is
    kept beside the prepared images; headers are read each time, as nothing of them is kept.

    Args:
        folder: holds `images/` and `masks/`.
        manifest: its own.
        cache: see `fedefm.data.prepared.prepare_pairs`.
        threads: files at work at the same time.
        progress: called with (files done, files in all).

    Raises:
        DataError: an image has no mask, or patients or splits do not fit the files.
        ConfigError: there is no place for what is kept.
    """
    images = {pair.stem: pair.image for pair in list_pairs(folder)}
    facts = {} if is_stated(manifest) else _kept_facts(folder, images, cache, threads, progress)
    return _placed(images, manifest, facts)


def place_unlabelled(
    folder: Path, manifest: Manifest, placed: Placed, *, cache: Path | None = None, threads: int = 1
) -> dict[str, str]:
    """The patient of each image without a mask that may be taught: none that belongs to one who is validated or tested.

    What belongs together is found as in `place_images`, among images with masks and without; where those with masks are
    does not hang on the others.

    Args:
        folder: holds `unlabelled/`.
        manifest: its own.
        placed: its images with masks, of `place_images` in this process.
        cache: see `fedefm.data.prepared.prepare_pairs`.
        threads: files at work at the same time.

    Raises:
        DataError: there is no image, or `patients` does not fit one.
        ConfigError: there is no place for what is kept.
    """
    paths = list_unlabelled(folder)
    named = {stem: manifest.patient_of(stem) for stem in paths}
    if is_stated(manifest):
        return {stem: name for stem, name in named.items() if placed.split_of.get(name, "train") == "train"}
    facts = {**_kept_facts(folder, paths, cache, threads, None, f"{LOOKS}-{UNLABELLED}"), **placed.facts}
    images = placed.patient_of
    group_of = joined({**named, **{stem: manifest.patient_of(stem) for stem in images}}, find_evidence(facts).links)
    kept_apart = {group_of[stem] for stem, patient in images.items() if placed.split_of[patient] != "train"}
    return {stem: group_of[stem] for stem in paths if group_of[stem] not in kept_apart}


def place_once(folder: Path, manifest: Manifest) -> Placed:
    """The same, but nothing is kept: for import and export, which write nothing into a folder but what was asked for.

    Raises:
        DataError: see `place_images`.
    """
    images = {pair.stem: pair.image for pair in list_pairs(folder)}
    facts = {} if is_stated(manifest) else {stem: _read_facts(path) for stem, path in images.items()}
    return _placed(images, manifest, facts)


def known_facts(
    folder: Path, *, cache: Path | None = None, threads: int = 1, progress: Progress | None = None
) -> dict[str, Facts]:
    """What is known of each image of a folder that has a mask, by its stem, whatever `dataset.json` states.

    Raises:
        DataError: an image has no mask.
        ConfigError: there is no place for what is kept.
    """
    images = {pair.stem: pair.image for pair in list_pairs(folder)}
    return _kept_facts(folder, images, cache, threads, progress)


def _placed(images: Mapping[str, Path], manifest: Manifest, facts: Mapping[str, Facts]) -> Placed:
    patient_of = patients_by(manifest, images, find_evidence(facts).links)
    return Placed(patient_of, assign_splits(manifest, patient_of.values()), facts)


def _read_facts(path: Path) -> Facts:
    try:
        return Facts(looks_of(read_image(path).frames), identity_of(path, _SALT))
    except DataError:
        return UNREAD


def _kept_facts(
    folder: Path,
    images: Mapping[str, Path],
    cache: Path | None,
    threads: int,
    progress: Progress | None,
    kept_as: str = LOOKS,
) -> dict[str, Facts]:
    def make(stem: str) -> Made:
        try:
            looks = looks_of(read_image(images[stem]).frames)
        except DataError as error:
            raise UnreadableError(str(error)) from error
        return Made([(look,) for look in looks], {})

    kept = keep(
        [place / kept_as for place in places(folder, cache)],
        {"version": VERSION},
        SIDE * SIDE,
        [Source(stem, (path,)) for stem, path in images.items()],
        make,
        threads=threads,
        progress=progress,
    )
    records, found = Records(kept, make), {}
    for stem, entry in kept.entries.items():
        if entry.unreadable is not None:
            found[stem] = UNREAD
            continue
        looks = _read(records, range(entry.first, entry.first + len(entry.digests)))
        found[stem] = Facts(looks, identity_of(images[stem], _SALT))
    return found


def _read(records: Records, numbers: range) -> Int8[np.ndarray, "k 1024"]:
    looks = np.zeros((len(numbers), SIDE * SIDE), np.int8)
    for row, number in zip(looks, numbers, strict=True):
        records.read(number, (row,))
    return looks
