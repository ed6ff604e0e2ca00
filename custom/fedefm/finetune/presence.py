"""Which classes are present in an image: from `labels.csv` of a hospital's folder, or from its masks."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from fedefm.data.dataset import load_site
from fedefm.data.folder import list_images
from fedefm.data.frames import Batch, Frames, PreparedFrames, Split
from fedefm.data.label_sets import NOTHING_KNOWN, leaves_open
from fedefm.data.manifest import FILE_NAME as MANIFEST
from fedefm.data.manifest import canonical, load_manifest
from fedefm.data.prepared import File, Prepared, prepare_images
from fedefm.data.splits import split_by_hash
from fedefm.errors import DataError

FILE_NAME = "labels.csv"
_IMAGE = ("image", "StudyInstanceUID")  # the second as in RANZCR CLiP
_PATIENT = ("patient", "PatientID")
UNKNOWN = float("nan")
_SEPARATORS = (",", ";", "\t")
_LABELS = {
    **dict.fromkeys(("1", "1.0", "1.00", "true"), 1.0),
    **dict.fromkeys(("0", "0.0", "0.00", "false"), 0.0),
    "": UNKNOWN,
}


@dataclass(frozen=True)
class Presence:
    """A hospital's images with what is present in each.

    Attributes:
        splits: `train`, `val` and `test`; in place of a mask stands the image's number everywhere, so that a batch that
            was drawn and turned still tells which labels belong to it.
        labels: for each split 1 (present), 0 (absent) or NaN (not stated), one row an image, one column a class.
        corpus: the classes that are stated for at least one image.
        synthetic: whether the images are generated.
    """

    splits: Mapping[str, Split]
    labels: Mapping[str, Float32[Tensor, "n k"]]
    corpus: tuple[str, ...]
    synthetic: bool = False


def load_presence(
    folder: Path, classes: Sequence[str], size: int, *, cache: Path | None = None, threads: int = 1
) -> Presence:
    """Read a hospital's folder for classification.

    `labels.csv` has a column `image` (file name without ending; `StudyInstanceUID` works too), if wanted `patient`
    (`PatientID`), and one column a class with 1, 0 or nothing for not stated. Patients are split by hash. Without that
    file the masks say what is present.

    Args:
        folder: its images and labels.
        classes: of the job.
        size: side of the square frames, in pixels.
        cache: where prepared images are kept; None for a folder within the hospital's.
        threads: files at work at the same time while they are prepared.

    Raises:
        DataError: the file or the folder cannot be used.
    """
    if (Path(folder) / FILE_NAME).is_file():
        return _from_table(Path(folder), classes, size, cache, threads)
    site = load_site(folder, classes, size, cache=cache, threads=threads)
    splits = {"train": site.train, "val": site.val, "test": site.test}
    corpora = {"train": site.corpus, "val": site.corpus, "test": site.test_corpus}
    labels = {name: _from_masks(split, classes, corpora[name]) for name, split in splits.items()}
    return Presence({n: _numbered(s) for n, s in splits.items()}, labels, site.corpus, site.synthetic)


def _from_masks(split: Split, classes: Sequence[str], corpus: Sequence[str]) -> Float32[Tensor, "n k"]:
    rows = [
        [_presence(there, k) if name in corpus else UNKNOWN for k, name in enumerate(classes, 1)]
        for there in split.labels
    ]
    return torch.tensor(rows, dtype=torch.float32).view(-1, len(classes))


def _presence(labels: Sequence[int], channel: int) -> float:
    """1 where a class is labelled, 0 where not; not stated where a union or what nobody looked at leaves it open."""
    if channel in labels:
        return 1.0
    return UNKNOWN if NOTHING_KNOWN in labels or leaves_open(labels, channel) else 0.0


@dataclass(frozen=True)
class _Numbered:
    """Frames whose masks hold the frame's number."""

    frames: Frames

    def batch(self, picked: Sequence[int]) -> Batch:
        images, _ = self.frames.batch(picked)
        return images, torch.tensor(list(picked)).view(-1, 1, 1).repeat(1, *images.shape[-2:])


def _numbered(split: Split) -> Split:
    return replace(split, frames=_Numbered(split.frames))


def _from_table(folder: Path, classes: Sequence[str], size: int, cache: Path | None, threads: int) -> Presence:
    rows, images = read_table(folder / FILE_NAME, classes), list_images(folder)
    missing = sorted(set(rows) - set(images))
    if missing:
        raise DataError(f"{FILE_NAME}: names image {missing[0]!r}, which images/ does not hold; correct one of them")
    paths = {stem: path for stem, path in images.items() if stem in rows}
    prepared = prepare_images(folder, paths, size, cache=cache, threads=threads)
    for stem, path in paths.items():
        _check_single(path, prepared.files[stem])
    part = split_by_hash(patient for patient, _ in rows.values())
    splits, labels = {}, {}
    for name in ("train", "val", "test"):
        stems = [stem for stem in paths if part[rows[stem][0]] == name]
        splits[name] = _split(prepared, stems, [rows[s][0] for s in stems])
        labels[name] = torch.tensor([rows[s][1] for s in stems], dtype=torch.float32).view(-1, len(classes))
    stated = ~torch.cat(list(labels.values())).isnan().all(0)
    synthetic = (folder / MANIFEST).is_file() and load_manifest(folder).synthetic
    return Presence(splits, labels, tuple(c for c, known in zip(classes, stated, strict=True) if known), synthetic)


def read_table(path: Path, classes: Sequence[str]) -> dict[str, tuple[str, list[float]]]:
    """Patient and labels of each image in a `labels.csv`, by the image's stem.

    Raises:
        DataError: a column is missing, an image stands twice, or a label is none of 1, 0 and nothing.
    """
    columns, lines = _read_csv(path, classes)
    image = next((c for c in _IMAGE if c in columns), None)
    patient = next((c for c in _PATIENT if c in columns), image)
    if image is None or patient is None or not set(classes) & set(columns):
        raise DataError(f"{path.name}: needs a column '{_IMAGE[0]}' and one for a class, such as {classes[0]!r}")
    rows: dict[str, tuple[str, list[float]]] = {}
    for row in lines:
        stem = unicodedata.normalize("NFC", (row[image] or "").strip())
        if not stem and not any((value or "").strip() for value in row.values() if not isinstance(value, list)):
            continue  # a line of separators alone, as spreadsheets leave behind
        if stem in rows:
            raise DataError(f"{path.name}: image {stem!r} stands twice; keep one line")
        rows[stem] = ((row[patient] or "").strip() or stem, [_label(path, row.get(name)) for name in classes])
    if not rows:
        raise DataError(f"{path.name}: no image in it; add one line for each")
    return rows


def table_classes(path: Path) -> tuple[str, ...]:
    """The classes that a `labels.csv` has columns for."""
    return tuple(c for c in _read_csv(path)[0] if c not in (*_IMAGE, *_PATIENT))


def _read_csv(path: Path, classes: Sequence[str] = ()) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns and lines of a table, with commas, semicolons or tabs between its cells.

    Columns that differ from a known name by case, hyphens or spaces alone get that name.
    """
    known = {canonical(name): name for name in (*_IMAGE, *_PATIENT, *classes)}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            separator = max(_SEPARATORS, key=first.count)
            table = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            names = [name.strip() for name in table.fieldnames or ()]
            table.fieldnames = [known.get(canonical(name), name) for name in names]
            return tuple(table.fieldnames), list(table)
    except (OSError, ValueError, csv.Error) as error:
        reason = type(error).__name__
        raise DataError(f"{path.name}: cannot be read as a table ({reason}); save it as CSV in UTF-8") from error


def _label(path: Path, text: str | None) -> float:
    value = _LABELS.get((text or "").strip().casefold().replace(",", "."))
    if value is None:
        raise DataError(f"{path.name}: label {text!r:.40} is none of 1, 0 and nothing; correct it")
    return value


def _check_single(path: Path, file: File) -> None:
    if file.unreadable is not None:
        raise DataError(file.unreadable)
    if len(file.numbers) != 1:
        raise DataError(
            f"{path.name}: has {len(file.numbers)} frames; a label belongs to one image, export single frames"
        )


def _split(prepared: Prepared, stems: Sequence[str], patients: Sequence[str]) -> Split:
    opaque = {p: f"patient-{k:05d}" for k, p in enumerate(sorted(set(patients)))}
    return _numbered(
        Split(
            PreparedFrames(prepared, [prepared.files[stem].numbers[0] for stem in stems]),
            labels=((),) * len(stems),
            names=tuple(f"image-{k:06d}" for k in range(len(stems))),
            patients=tuple(opaque[p] for p in patients),
            spacing_mm=(None,) * len(stems),
        )
    )
