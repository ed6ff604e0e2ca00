"""Corrected masks into a silo: image, mask, and where the mask comes from, whole or not at all.

Of an image nothing but its pixels and their size goes in, under a name of the hospital's secret, as `fedefm data
prepare` names files. One frame is one file: a frame that nobody looked at never enters.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fedefm.corrections.choose import Frames
from fedefm.corrections.looked_at import LookedAt, looked_at
from fedefm.corrections.manifest import Corrections, read_corrections
from fedefm.corrections.pixels import source_frames
from fedefm.corrections.whose import NewFrame, Owner, check_apart, find_owner
from fedefm.data.cache import Progress
from fedefm.data.deidentify.burned_in import find_text
from fedefm.data.deidentify.secret import read_secret
from fedefm.data.deidentify.silo import private_folder
from fedefm.data.folder import IMAGES, MASKS, list_pairs
from fedefm.data.grouped import place_images
from fedefm.data.manifest import BACKGROUND, FILE_NAME, Manifest, canonical, load_manifest, write_manifest
from fedefm.data.nifti_file import ENDING, nifti_bytes, smallest
from fedefm.data.nifti_header import Geometry
from fedefm.data.proposed import KEY, Proposed
from fedefm.errors import ConfigError, DataError
from fedefm.files import told, write_together

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


@dataclass(frozen=True)
class Added:
    """What came into a silo; counts alone.

    Attributes:
        new: frames.
        replaced: frames whose earlier correction gave way.
        same: frames that were there already, and stay as they are.
        confirmed: of all three, frames whose proposal was right as it stood.
        not_looked_at: frames of the folder that stay out.
        changed_pixels: of new and replaced frames.
        splits: new and replaced frames by split.
    """

    new: int
    replaced: int
    same: int
    confirmed: int
    not_looked_at: int
    changed_pixels: int
    splits: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return asdict(self)


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
    table = _table(manifest, corrections, seen, said.classes)
    frames = _frames(seen, silo, manifest, private or private_folder(silo), said)
    stated = _splits(manifest, frames, said)
    if manifest.splits is not None and (silo / IMAGES).is_dir():
        check_apart(frames, silo, {**stated}, manifest, threads, progress)
    return _write(silo, manifest, corrections, frames, table, stated, said, (threads, progress))


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


def _table(
    manifest: Manifest, corrections: Corrections, seen: Sequence[LookedAt], renames: Mapping[str, str]
) -> "np.ndarray":
    """The silo's mask value of each label of the folder."""
    if unknown := sorted(set(renames) - set(corrections.classes)):
        raise ConfigError(f"--classes {unknown[0]}: the corrections have {', '.join(corrections.classes)}")
    named = [renames.get(name, name) for name in corrections.classes]
    if missing := [name for name in (*manifest.annotated, *manifest.test_annotated) if name not in named]:
        raise DataError(
            f"{FILE_NAME} annotates {missing[0]!r}, which these masks do not know and would count as absent; "
            "take a model that knows it, or a silo of its own"
        )
    value_of = {name: value for value, name in manifest.classes.items()}
    used = {int(label) for one in seen for label in np.unique(one.labels)} - {0}
    table = np.full(len(named) + 1, value_of[BACKGROUND], np.min_scalar_type(max(manifest.classes)))
    for label, name in enumerate(named, 1):
        if name not in value_of and label in used:
            alike = [one for one in value_of if canonical(one) == canonical(name)]
            remedy = f"say --classes {corrections.classes[label - 1]}={alike[0] if alike else BACKGROUND}"
            raise DataError(f"class {name!r} is not in the classes of {FILE_NAME}; declare it there, or {remedy}")
        table[label] = value_of.get(name, value_of[BACKGROUND])
    return table


def _frames(
    seen: Sequence[LookedAt], silo: Path, manifest: Manifest, private: Path, said: Said
) -> list[tuple[LookedAt, NewFrame]]:
    """Each frame with its pixels and its names; sources are held against their hashes."""
    secret, found = read_secret(private), list[tuple[LookedAt, NewFrame]]()
    owners: dict[Path, Owner] = {}
    groups = {one.run.name: [other for other in seen if other.run is one.run] for one in seen}
    for group in groups.values():
        run, numbers = group[0].run, [one.frame.frame for one in group]
        pixels = source_frames(run.source, numbers, said.source)
        for one, (frame, reader) in zip(group, pixels, strict=True):
            if frame.shape != (run.rows, run.columns):
                raise DataError(f"{run.name}: frame {one.frame.frame} is not of the size of its mask; segment it anew")
            path = reader.path
            if path not in owners:
                owners[path] = find_owner(reader, silo, manifest, secret, said.patient)
            owner = owners[path]
            if not said.accept_text and (owner.says_text or find_text(frame)):
                raise DataError(
                    f"{run.name}: frame {one.frame.frame} may show text, or its header says so; look at it, and where "
                    "no name is in it add it with --accept-text"
                )
            file, number = run.source.holding(one.frame.frame)
            stem = f"{_safe(owner.patient)}__{secret.name('file', file.sha256, _FILE)}-f{number + 1:04d}"
            found.append((one, NewFrame(stem, owner.patient, frame, reader.spacing_mm)))
    return found


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


def _write(
    silo: Path,
    manifest: Manifest,
    corrections: Corrections,
    frames: Sequence[tuple[LookedAt, NewFrame]],
    table: "np.ndarray",
    split_of: Mapping[str, str],
    said: Said,
    how: tuple[int, Progress | None],
) -> Added:
    counts, files, entries = Counter[str](), dict[str, bytes](), dict[str, Proposed]()
    pixels = 0
    for one, frame in frames:
        image, mask = _files(frame, table[one.labels])
        entry = Proposed(
            corrections.model, one.frame.proposed, frame.patient, one.changed_pixels, one.dice, date.today().isoformat()
        )
        counts["confirmed"] += not one.changed_pixels
        if _is_there(silo, manifest, frame.stem, entry, mask):
            counts["same"] += 1
            continue
        counts["replaced" if frame.stem in manifest.proposed else "new"] += 1
        pixels += one.changed_pixels
        entries[frame.stem] = entry
        files |= {f"{MASKS}/{frame.stem}{ENDING}": mask, f"{IMAGES}/{frame.stem}{ENDING}": image}
    if entries:
        for part in (IMAGES, MASKS):
            with told(silo / part):
                (silo / part).mkdir(parents=True, exist_ok=True)
        written = {FILE_NAME: _with(silo, manifest, entries, split_of)}
        # dataset.json first: a mask that is there without its origin would count as a person's own
        written |= {name: files[name] for name in sorted(files, reverse=True)}  # an image comes after all masks
        write_together(silo, written)
    return Added(
        new=counts["new"],
        replaced=counts["replaced"],
        same=counts["same"],
        confirmed=counts["confirmed"],
        not_looked_at=sum(len(run.frames) for run in corrections.runs) - len(frames),
        changed_pixels=pixels,
        splits=_landed(silo, list(entries), *how) if entries else {},
    )


def _files(frame: NewFrame, values: UInt8[np.ndarray, "h w"] | Any) -> tuple[bytes, bytes]:
    geometry = Geometry.flat(frame.spacing_mm)
    return nifti_bytes(smallest(frame.pixels[None]), geometry), nifti_bytes(values[None], geometry)


def _is_there(silo: Path, manifest: Manifest, stem: str, entry: Proposed, mask: bytes) -> bool:
    """Whether the silo has this very mask of this very proposal; the day does not count."""
    before, place = manifest.proposed.get(stem), silo / MASKS / f"{stem}{ENDING}"
    if before is None or {**before.to_json(), "added": entry.added} != entry.to_json():
        return False
    return place.is_file() and place.read_bytes() == mask and (silo / IMAGES / place.name).is_file()


def _with(silo: Path, manifest: Manifest, entries: Mapping[str, Proposed], split_of: Mapping[str, str]) -> str:
    """`dataset.json` with the new masks in it; all else stays as it was written."""
    if not (silo / FILE_NAME).is_file():
        write_manifest(manifest, silo, origin={"made by": "fedefm data add"})
    plain = json.loads((silo / FILE_NAME).read_text(encoding="utf-8"))
    plain[KEY] = plain.get(KEY, {}) | {stem: entry.to_json() for stem, entry in entries.items()}
    if manifest.splits is not None:
        known = {patient for patients in manifest.splits.values() for patient in patients}
        for patient in dict.fromkeys(entry.patient for entry in entries.values()):
            if patient not in known:
                plain["splits"].setdefault(split_of[patient], []).append(patient)
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def _landed(silo: Path, stems: Sequence[str], threads: int, progress: Progress | None) -> dict[str, int]:
    """Frames by split, as the next job will see them."""
    placed = place_images(silo, load_manifest(silo), threads=threads, progress=progress)
    return dict(Counter(placed.split_of[placed.patient_of[stem]] for stem in stems))
