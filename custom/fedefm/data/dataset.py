"""A hospital's folder as splits of frames with the labels of a job."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from fedefm.data.cache import Progress
from fedefm.data.folder import list_unlabelled
from fedefm.data.formats.reader import Spacing
from fedefm.data.frames import PreparedFrames, Split
from fedefm.data.grouped import Placed, place_images, place_unlabelled
from fedefm.data.label_sets import NOTHING_KNOWN, leaves_open, set_label
from fedefm.data.manifest import BACKGROUND, SPLIT_NAMES, Manifest, load_manifest, parts_of
from fedefm.data.prepared import Prepared, prepare_images, prepare_pairs
from fedefm.data.quarantine import MAX_QUARANTINED, check_quarantine
from fedefm.errors import DataError


@dataclass(frozen=True)
class SiteData:
    """A hospital's images and masks.

    Attributes:
        corpus: the classes that its training and validation masks annotate, in the order of the classes asked for.
        test_corpus: the same for its test masks, without classes that a union there leaves undecided.
        train: frames to train on.
        val: frames to choose the best epoch by.
        test: frames of the final score.
        quarantined: files that could not be read and were left out.
        synthetic: whether the images are generated.
        left_out: test frames whose masks were proposed by weights that `load_site` was to leave out.
        unlabelled: frames without masks, in which nothing is known of any pixel; empty unless they were asked for and
            the hospital declares some. They are in no other split, and no patient of `val` or `test` is among theirs.
    """

    corpus: tuple[str, ...]
    test_corpus: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    quarantined: int
    synthetic: bool = False
    unlabelled: Split | None = None
    left_out: int = 0


def load_site(
    folder: Path,
    classes: Sequence[str],
    size: int,
    *,
    cache: Path | None = None,
    threads: int = 1,
    max_quarantined: float = MAX_QUARANTINED,
    progress: Progress | None = None,
    unlabelled: bool = False,
    leave_out_proposed_by: Collection[str] = (),
) -> SiteData:
    """Open a hospital's folder; what is not prepared yet is prepared first (`fedefm.data.prepared`).

    Files that cannot be read are left out and counted. Mask classes that the hospital does not annotate count as
    background. Every message of an error may name a file: it is for the hospital's own screen, never to be sent.

    Args:
        folder: holds `images/`, `masks/` and, to share classes with other hospitals, `dataset.json`.
        classes: the foreground classes agreed by all hospitals; mask index k is the k-th of them, 0 background.
        size: side of the square frames, in pixels.
        cache: where prepared images are kept; None for a folder within the hospital's.
        threads: files at work at the same time while they are prepared.
        max_quarantined: the largest share of files that may be left out.
        progress: called with (files done, files in all) while they are prepared.
        unlabelled: open the frames without masks too, where the hospital declares them.
        leave_out_proposed_by: fingerprints of weights; test frames whose masks one of them proposed are left out.

    Raises:
        DataError: where the folder or its manifest is wrong, an image has no mask or one of another size, a mask holds
            an undeclared value, or too many files cannot be read.
        ConfigError: there is no place or no space for prepared images.
    """
    manifest = load_manifest(folder)
    index = _class_index(manifest, classes)
    placed = place_images(folder, manifest, cache=cache, threads=threads, progress=progress)
    patients, split_of = placed.patient_of, placed.split_of
    prepared = prepare_pairs(folder, manifest, size, cache=cache, threads=threads, progress=progress)
    bad = [file.unreadable for file in prepared.files.values() if file.unreadable is not None]
    check_quarantine(bad, len(patients), max_quarantined)
    extra, worse = _unlabelled(folder, manifest, placed, size, cache, threads) if unlabelled else (None, [])
    opaque = {patient: f"patient-{k:04d}" for k, patient in enumerate(sorted(set(patients.values())))}
    found: dict[str, list[_Frame]] = {name: [] for name in SPLIT_NAMES}
    names = (f"frame-{k:06d}" for k in count())
    left_out = 0
    for stem, file in prepared.files.items():
        split = split_of[patients[stem]]
        frames = [
            _Frame(number, present, next(names), opaque[patients[stem]], file.spacing_mm)
            for number, present in zip(file.numbers, file.present, strict=True)
        ]
        if split == "test" and stem in manifest.proposed and manifest.proposed[stem].by in leave_out_proposed_by:
            left_out += len(frames)
        else:
            found[split] += frames
    splits = {name: _split(prepared, frames, _labels(manifest, name, index)) for name, frames in found.items()}
    return SiteData(
        corpus=tuple(name for name in classes if name in manifest.annotated),
        test_corpus=tuple(
            name
            for name in classes
            if name in manifest.test_annotated
            and not any(leaves_open(labels, index[name]) for labels in splits["test"].labels)
        ),
        quarantined=len(bad) + len(worse),
        synthetic=manifest.synthetic,
        unlabelled=extra,
        left_out=left_out,
        **splits,
    )


def prepare_unlabelled(
    folder: Path,
    manifest: Manifest,
    placed: Placed,
    size: int,
    *,
    cache: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[Prepared, dict[str, str]]:
    """The images without masks that may be taught, prepared, and the patient of each by its stem.

    Raises:
        DataError: there is none, or `patients` does not fit one.
        ConfigError: there is no place or no space for prepared images.
    """
    patients = place_unlabelled(folder, manifest, placed, cache=cache, threads=threads)
    paths = {stem: path for stem, path in list_unlabelled(folder).items() if stem in patients}
    return prepare_images(folder, paths, size, cache=cache, threads=threads, progress=progress), patients


@dataclass(frozen=True)
class _Frame:
    """A prepared frame: its number, what mask positions it holds, and what goes with it."""

    number: int
    present: tuple[int, ...]
    name: str
    patient: str
    spacing_mm: Spacing | None


def _unlabelled(
    folder: Path, manifest: Manifest, placed: Placed, size: int, cache: Path | None, threads: int
) -> tuple[Split | None, list[str]]:
    """Frames without masks, and why some cannot be read; a patient who is validated or tested on teaches nothing."""
    if not manifest.unlabelled:
        return None, []
    prepared, patients = prepare_unlabelled(folder, manifest, placed, size, cache=cache, threads=threads)
    bad = [file.unreadable for file in prepared.files.values() if file.unreadable is not None]
    check_quarantine(bad, len(prepared.files), MAX_QUARANTINED)
    opaque = {patient: f"unlabelled-{k:04d}" for k, patient in enumerate(sorted(set(patients.values())))}
    names = (f"unlabelled-{k:06d}" for k in count())
    frames = [
        _Frame(number, (0,), next(names), opaque[patients[stem]], file.spacing_mm)
        for stem, file in prepared.files.items()
        for number in file.numbers
    ]
    return _split(prepared, frames, [NOTHING_KNOWN]), bad


def _split(prepared: Prepared, frames: Sequence[_Frame], labels: Sequence[int]) -> Split:
    return Split(
        frames=PreparedFrames(prepared, [one.number for one in frames], labels),
        labels=tuple(tuple(sorted({labels[position] for position in one.present})) for one in frames),
        names=tuple(one.name for one in frames),
        patients=tuple(one.patient for one in frames),
        spacing_mm=tuple(one.spacing_mm for one in frames),
    )


def _class_index(manifest: Manifest, classes: Sequence[str]) -> dict[str, int]:
    index = {name: k for k, name in enumerate(classes, start=1)}
    if len(index) < len(classes) or BACKGROUND in index:
        raise DataError(f"classes: each foreground class once and without {BACKGROUND}, not {list(classes)}")
    for name in manifest.foreground:
        if name not in index:
            raise DataError(
                f"{manifest.name}: class {name!r} is not among the agreed {list(classes)}; add or rename it"
            )
    return {BACKGROUND: 0, **index}


def _labels(manifest: Manifest, split: str, index: dict[str, int]) -> list[int]:
    """The label of each position among the manifest's values; classes without labels are background.

    Of what nobody looked at nothing is known, whatever the split annotates.
    """
    corpus = manifest.test_annotated if split == "test" else manifest.annotated
    names = [[part for part in parts_of(name) if part in corpus] for name in manifest.classes.values()]
    labels = [set_label(index[part] for part in parts) if parts else 0 for parts in names]
    if manifest.ignored is not None:
        labels[manifest.ignored] = NOTHING_KNOWN
    return labels
