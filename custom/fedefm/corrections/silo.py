"""Corrected masks into a silo: image, mask, and where the mask comes from, whole or not at all.

Of an image nothing but its pixels and their size goes in, under a name of the hospital's secret, as `fedefm data
prepare` names files. One frame is one file: a frame that nobody looked at never enters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from fedefm.corrections.choose import Frames
from fedefm.corrections.looked_at import LookedAt, looked_at
from fedefm.corrections.manifest import Corrections, read_corrections
from fedefm.corrections.pixels import source_frames
from fedefm.corrections.values import mask_values
from fedefm.corrections.whose import NewFrame, Owner, check_apart, find_owner
from fedefm.corrections.writing import Added, write_frames
from fedefm.data.cache import Progress
from fedefm.data.deidentify.burned_in import find_text
from fedefm.data.deidentify.secret import read_secret
from fedefm.data.deidentify.silo import private_folder
from fedefm.data.folder import IMAGES, list_pairs
from fedefm.data.manifest import BACKGROUND, FILE_NAME, Manifest, load_manifest
from fedefm.errors import ConfigError, DataError

_FILE = 16  # letters of a file's name


@dataclass(frozen=True)
class Said:
    """What a person says of corrections.

    Attributes:
        confirmed: frames that are right as they were proposed.
        patient: whose they are, as the silo names its patients; None where the files say it.
        split: of a patient whom the silo does not have yet, where `dataset.json` states splits.
        classes: class of the folder to class of the silo, where the two differ.
        source: where the run that was segmented lies now, if it was moved; of a single run.
        accept_text: a person looked at the frames, and what may be text is harmless.
    """

    confirmed: Sequence[Frames] = ()
    patient: str | None = None
    split: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    accept_text: bool = False


def add(
    folder: Path,
    silo: Path,
    said: Said | None = None,
    *,
    private: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Added:
    """Take the masks that a person looked at into a silo.

    A frame that came before is replaced, as the later correction counts; what is the same stays as it is.

    Args:
        folder: of `fedefm correct`, after a person's work.
        silo: the hospital's folder; made where there is none.
        said: what the folder does not say.
        private: the hospital's own folder, with the salt of all names; None for one beside the silo.
        threads: files at work at the same time while the silo's images are looked at.
        progress: called with (files done, files in all) meanwhile.

    Raises:
        DataError: nothing was looked at; masks, classes or sources do not fit; a frame may show text, or belongs to
            what another split holds. Nothing was written.
        ConfigError: an option makes no sense, or a place cannot be written.
    """
    said = said or Said()
    corrections = read_corrections(folder)
    if said.source is not None and len(corrections.runs) > 1:
        raise ConfigError(f"--source: for one run at a time; there are {len(corrections.runs)}")
    seen = looked_at(folder, corrections, said.confirmed)
    if not seen:
        raise DataError(
            f"{folder}: nobody looked at any of its frames, as no mask differs from its proposal; "
            "correct some, or name those that are right with --confirmed"
        )
    manifest = _manifest(silo, corrections, said)
    table = mask_values(manifest, corrections, seen, said.classes)
    frames = _frames(seen, silo, manifest, private or private_folder(silo), said)
    stated = _splits(manifest, frames, said)
    if manifest.splits is not None and (silo / IMAGES).is_dir():
        check_apart(frames, silo, stated, manifest, threads, progress)
    return write_frames(silo, manifest, corrections, frames, table, stated, (threads, progress))


def _manifest(silo: Path, corrections: Corrections, said: Said) -> Manifest:
    """The silo's own, or that of a new one."""
    if not silo.exists() or (silo.is_dir() and not any(silo.iterdir())):
        names = dict.fromkeys(said.classes.get(name, name) for name in corrections.classes)
        classes = [name for name in names if name != BACKGROUND]
        return Manifest(silo.resolve().name, {0: BACKGROUND, **dict(enumerate(classes, 1))})
    if not (silo / FILE_NAME).is_file():
        raise DataError(f"{silo}: no {FILE_NAME}, which says what its mask values mean; write it, or name a new folder")
    if (silo / IMAGES).is_dir() and any((silo / IMAGES).iterdir()):
        list_pairs(silo)  # what is wrong with it is told now, not after something was written
    return load_manifest(silo)


def _frames(
    seen: Sequence[LookedAt], silo: Path, manifest: Manifest, private: Path, said: Said
) -> list[tuple[LookedAt, NewFrame]]:
    """Each frame with its pixels and its names; sources are held against their hashes."""
    secret, found = read_secret(private), list[tuple[LookedAt, NewFrame]]()
    owners: dict[Path, Owner] = {}
    known = {stem.rpartition("__")[2]: entry.patient for stem, entry in manifest.proposed.items()}
    stems: set[str] = set()
    for _, of_this_run in groupby(seen, lambda one: one.run.name):
        group = list(of_this_run)
        run, numbers = group[0].run, [one.frame.frame for one in group]
        pixels = source_frames(run.source, numbers, said.source)
        for one, (frame, reader) in zip(group, pixels, strict=True):
            if frame.shape != (run.rows, run.columns):
                raise DataError(f"{run.name}: frame {one.frame.frame} is not of the size of its mask; segment it anew")
            path = reader.path
            if path not in owners:
                owners[path] = find_owner(reader, silo, manifest, secret, said.patient)
            file, number = run.source.holding(one.frame.frame)
            name = f"{secret.name('file', file.sha256, _FILE)}-f{number + 1:04d}"
            owner = _as_before(owners[path], known.get(name), said.patient)
            stem = f"{_safe(owner.patient)}__{name}"
            if stem in stems:
                raise DataError(f"{run.name}: frame {one.frame.frame} is in another run of the folder too; keep one")
            if not said.accept_text and (owner.says_text or find_text(frame)):
                raise DataError(
                    f"{run.name}: frame {one.frame.frame} may show text, or its header says so; look at it, and where "
                    "no name is in it add it with --accept-text"
                )
            stems.add(stem)
            found.append((one, NewFrame(stem, owner.patient, frame, reader.spacing_mm)))
    return found


def _as_before(owner: Owner, before: str | None, said: str | None) -> Owner:
    """The owner of a frame; of one that is in the silo already, the patient that it has there.

    Raises:
        ConfigError: a person names another one.
    """
    if before is not None and said not in (None, before):
        raise ConfigError(f"--patient {said}: the frame is in the silo already, as one of {before}; leave it there")
    return owner if before is None else replace(owner, patient=before)


def _safe(patient: str) -> str:
    """A patient's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", patient).strip("-_.") or "x"


def _splits(manifest: Manifest, frames: Sequence[tuple[LookedAt, NewFrame]], said: Said) -> dict[str, str]:
    """The stated split of each patient; nothing where `dataset.json` states none."""
    if manifest.splits is None:
        if said.split is not None:
            raise ConfigError(f"--split: {FILE_NAME} states no splits; patients are split by their names")
        return {}
    owner = {patient: split for split, patients in manifest.splits.items() for patient in patients}
    for _, frame in frames:
        known = owner.get(frame.patient)
        if said.split is not None and known not in (None, said.split):
            raise ConfigError(f"--split {said.split}: this patient is in {known}, and never in two splits")
        owner[frame.patient] = known or said.split or "train"
    return owner
