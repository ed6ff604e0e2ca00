"""A hospital's folder, read once: what its files are, what belongs together, and how it is split."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.folder import Pair, list_images, list_masks
from fedefm.data.grouping.groups import UNREAD, Evidence, Facts, find_evidence, patients_by
from fedefm.data.inspection.run import Progress, see_all
from fedefm.data.inspection.seen import Plain, Seen
from fedefm.data.manifest import FILE_NAME, Manifest, load_manifest
from fedefm.data.splits import assign_splits
from fedefm.errors import DataError


@dataclass(frozen=True)
class Inspection:
    """What is known of a folder.

    Attributes:
        folder: the folder.
        manifest: as stated, or inferred.
        inferred: there is no `dataset.json`.
        told: what was said while it was loaded.
        images: image files by stem.
        masks: mask files by stem.
        seen: what was noted of each image that has a mask, by stem.
        evidence: what belongs together.
        patient_of: stem to patient; empty where patients or splits do not fit the files.
        split_of: stem to split; the same.
        misfit: why they do not fit; None where they do.
    """

    folder: Path
    manifest: Manifest
    inferred: bool
    told: tuple[str, ...]
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    seen: Mapping[str, Seen]
    evidence: Evidence
    patient_of: Mapping[str, str]
    split_of: Mapping[str, str]
    misfit: DataError | None

    @property
    def class_names(self) -> dict[int, str]:
        """The class of each mask value that is one."""
        plain = plain_values(self.manifest)
        return {value: name for value, name in self.manifest.classes.items() if value not in plain}


def inspect_folder(folder: Path, *, processes: int = 1, progress: Progress | None = None) -> Inspection:
    """Read every image and mask of a hospital's folder; nothing is written.

    Args:
        folder: holds `images/`, `masks/` and `dataset.json`.
        processes: files at work at the same time; with more than one, large folders start processes of their own.
        progress: called with (files done, files in all).

    Raises:
        DataError: where there is no image, no mask, or `dataset.json` is wrong.
    """
    folder = Path(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manifest = load_manifest(folder)
    images, masks = list_images(folder), list_masks(folder)
    pairs = [Pair(stem, image, masks[stem]) for stem, image in images.items() if stem in masks]
    plain = plain_values(manifest)
    seen = {one.pair.stem: one for one in see_all(pairs, plain, processes=processes, progress=progress)}
    facts = {stem: Facts(one.looks, one.identity) for stem, one in seen.items()}
    evidence = find_evidence({stem: facts.get(stem, UNREAD) for stem in images})
    patient_of, split_of, misfit = _placed(manifest, images, evidence)
    return Inspection(
        folder=folder,
        manifest=manifest,
        inferred=not (folder / FILE_NAME).is_file(),
        told=tuple(str(warning.message) for warning in caught),
        images=images,
        masks=masks,
        seen=seen,
        evidence=evidence,
        patient_of=patient_of,
        split_of=split_of,
        misfit=misfit,
    )


def plain_values(manifest: Manifest) -> Plain:
    """The mask values that are no class."""
    values = list(manifest.classes)
    return Plain(values[0], None if manifest.ignored is None else values[manifest.ignored])


def _placed(
    manifest: Manifest, images: Mapping[str, Path], evidence: Evidence
) -> tuple[dict[str, str], dict[str, str], DataError | None]:
    patient_of: dict[str, str] = {}
    try:
        patient_of = patients_by(manifest, images, evidence.links)
        split_of = assign_splits(manifest, patient_of.values())
    except DataError as error:
        return patient_of, {}, error
    return patient_of, {stem: split_of[patient] for stem, patient in patient_of.items()}, None
