"""Whose image a corrected frame is, and whether it may go where it would go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fedefm.data.cache import Progress
from fedefm.data.deidentify import header
from fedefm.data.deidentify.secret import Secret
from fedefm.data.folder import IMAGES, UNLABELLED
from fedefm.data.formats.dicom import Dicom
from fedefm.data.formats.reader import Reader, Spacing
from fedefm.data.grouped import known_facts
from fedefm.data.grouping.groups import is_stated
from fedefm.data.grouping.looks import ALIKE, cosine, looks_of
from fedefm.data.manifest import FILE_NAME, Manifest
from fedefm.data.readers import stem_of
from fedefm.errors import DataError

_PATIENT = 12  # letters of a name, as `fedefm data prepare` gives them


@dataclass(frozen=True)
class NewFrame:
    """A frame on its way into a silo.

    Attributes:
        stem: of its files there.
        patient: whose it is.
        pixels: grey values, as the device means them.
        spacing_mm: millimetres of a pixel, or None where the source does not state them.
    """

    stem: str
    patient: str
    pixels: Float32[np.ndarray, "h w"]
    spacing_mm: Spacing | None


@dataclass(frozen=True)
class Owner:
    """What a file of the source says, and its place.

    Attributes:
        patient: its name in the silo.
        says_text: the header says that text is burned into the pixels.
    """

    patient: str
    says_text: bool


def find_owner(file: Reader, silo: Path, manifest: Manifest, secret: Secret, patient: str | None = None) -> Owner:
    """Whose a file is, by the name that `fedefm data prepare` gives with the same salt.

    An image of the silo's own `unlabelled/` keeps its patient, where `dataset.json` states patients. Of DICOM it is the
    Patient ID, else name and birth date, else the study; of other files the folder that they lie in.

    Args:
        file: of the source.
        silo: that its frames go into.
        manifest: of the silo.
        secret: of the hospital.
        patient: whose it is, where a person says it.

    Raises:
        DataError: the image has a mask in the silo already.
    """
    path, said = file.path.resolve(), f"group\0{file.path.resolve().parent}"
    if path.parent == (silo / IMAGES).resolve():
        raise DataError(f"{path.name}: is an image of the silo, with a mask there; correct that mask")
    says_text = False
    if isinstance(file, Dicom):
        dataset = header.read_dataset(path)
        said, says_text = header.patient_of(dataset) or said, header.says_text(dataset)
    if patient is None and path.parent == (silo / UNLABELLED).resolve() and is_stated(manifest):
        patient = manifest.patient_of(stem_of(path))
    return Owner(patient or secret.name("patient", said, _PATIENT), says_text)


def check_apart(
    frames: Sequence[tuple[object, NewFrame]],
    silo: Path,
    split_of: Mapping[str, str],
    manifest: Manifest,
    threads: int,
    progress: Progress | None,
) -> None:
    """Refuse a frame that is nearly the same picture as one of another split: a test would know what was trained on.

    Where `dataset.json` states no splits such frames are one group, and this is not asked.

    Raises:
        DataError: so it is.
    """
    own = {frame.stem for _, frame in frames}
    facts = known_facts(silo, threads=threads, progress=progress)
    if missing := sorted({manifest.patient_of(stem) for stem in facts} - set(split_of)):
        raise DataError(f"{FILE_NAME}: patient {missing[0]!r} is in no split; add it to train, val or test")
    known = [
        (stem, look) for stem, one in facts.items() if stem not in own and one.looks is not None for look in one.looks
    ]
    if not known:
        return
    looks = np.stack([look for _, look in known])
    for _, frame in frames:
        mine = looks_of(frame.pixels[None])
        pairs = np.stack([np.zeros(len(looks), np.int64), np.arange(1, len(looks) + 1)], 1)
        alike = np.flatnonzero(cosine(np.concatenate([mine, looks]), pairs) >= ALIKE)
        for k in alike.tolist():
            other = manifest.patient_of(known[k][0])
            if split_of[other] != split_of[frame.patient]:
                raise DataError(
                    f"a corrected frame looks like {known[k][0]} of the {split_of[other]} split and would go to "
                    f"{split_of[frame.patient]}; where they are of one patient, add it with --patient {other}"
                )
