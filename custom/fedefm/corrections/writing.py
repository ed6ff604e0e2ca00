"""Frames on their way into a silo: image, mask and `dataset.json`, all of them or none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedefm.corrections.looked_at import LookedAt
from fedefm.corrections.manifest import Corrections
from fedefm.corrections.whose import NewFrame
from fedefm.data.cache import Progress
from fedefm.data.folder import IMAGES, MASKS
from fedefm.data.grouped import place_images
from fedefm.data.manifest import FILE_NAME, Manifest, load_manifest, write_manifest
from fedefm.data.nifti_file import ENDING, nifti_bytes, smallest
from fedefm.data.nifti_header import Geometry
from fedefm.data.proposed import KEY, Proposed
from fedefm.files import told, write_together


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


def write_frames(
    silo: Path,
    manifest: Manifest,
    corrections: Corrections,
    frames: Sequence[tuple[LookedAt, NewFrame]],
    table: NDArray[np.unsignedinteger],
    split_of: Mapping[str, str],
    how: tuple[int, Progress | None],
) -> Added:
    """Write frames into a silo, all or none; see `fedefm.corrections.silo.add`.

    Args:
        silo: the hospital's folder.
        manifest: its own, or the one that it gets.
        corrections: of the folder.
        frames: what a person looked at, with its pixels and names.
        table: of `mask_values`.
        split_of: the stated split of each patient.
        how: threads and progress of the look at the silo afterwards.
    """
    counts, files, entries = Counter[str](), dict[str, bytes](), dict[str, Proposed]()
    pixels = 0
    for one, frame in frames:
        geometry = Geometry.flat(frame.spacing_mm)
        mask = nifti_bytes(table[one.labels][None], geometry)
        entry = Proposed(
            corrections.model, one.frame.proposed, frame.patient, one.changed_pixels, one.dice, date.today().isoformat()
        )
        counts["confirmed"] += not one.changed_pixels
        if _is_there(silo, manifest, frame.stem, entry, mask):
            counts["same"] += 1
            continue
        counts["replaced" if frame.stem in manifest.proposed else "new"] += 1
        image = nifti_bytes(smallest(frame.pixels[None]), geometry)
        pixels += one.changed_pixels
        entries[frame.stem] = entry
        files |= {f"{MASKS}/{frame.stem}{ENDING}": mask, f"{IMAGES}/{frame.stem}{ENDING}": image}
    if entries:
        for part in (IMAGES, MASKS):
            with told(silo / part):
                (silo / part).mkdir(parents=True, exist_ok=True)
        written: dict[str, str | bytes] = {FILE_NAME: _with(silo, manifest, entries, split_of)}
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


def _is_there(silo: Path, manifest: Manifest, stem: str, entry: Proposed, mask: bytes) -> bool:
    """Whether the silo has this very mask of this very proposal; the day does not count."""
    before, place = manifest.proposed.get(stem), silo / MASKS / f"{stem}{ENDING}"
    if before is None or replace(before, added=entry.added) != entry:
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
