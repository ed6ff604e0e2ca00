"""What is in a hospital's folder, for the person who prepares it; nothing here leaves the hospital."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fedefm.data.folder import IMAGES, MASKS, UNLABELLED, list_unlabelled
from fedefm.data.inspection.notices import Grouped, grouped, notices
from fedefm.data.inspection.run import Progress
from fedefm.data.inspection.seen import Seen
from fedefm.data.inspection.whole import Inspection, inspect_folder
from fedefm.data.manifest import FILE_NAME, SPLIT_NAMES, Manifest
from fedefm.data.quarantine import MAX_QUARANTINED
from fedefm.data.readers import read_image, stem_of
from fedefm.errors import DataError

MOST_ALIKE = 3
"""Lines for files that have the same wrong with them; of more of them there is one line."""
STOPS = "; training would stop here"
"""Ends an anomaly with which nothing can be trained."""


@dataclass(frozen=True)
class MaskValue:
    """A value found in the masks.

    Attributes:
        value: as stored.
        name: its class, or None where it is not declared.
        share: of all mask pixels.
        frames: in how many frames it occurs.
    """

    value: int
    name: str | None
    share: float
    frames: int


@dataclass(frozen=True)
class FolderSummary:
    """A hospital's folder in figures.

    Attributes:
        name: the hospital's name.
        inferred: there is no `dataset.json`; classes were made from the mask values.
        classes: mask value to class name.
        annotated: the label corpus.
        test_annotated: the label corpus of the test masks.
        images: image files.
        frames: readable frames; more than files where there are cines.
        cines: files of several frames.
        unreadable: files that training would leave out.
        formats: files by format.
        bits: files by bits a value.
        sizes: files by columns x rows.
        mask_values: the values of the masks.
        patients: number of patients.
        splits: readable frames of train, val and test.
        grouped: how files became patients, and why.
        anomalies: what should be looked at, one line each.
        nameless: the same, line by line, without the name of any file.
    """

    name: str
    inferred: bool
    classes: Mapping[int, str]
    annotated: tuple[str, ...]
    test_annotated: tuple[str, ...]
    images: int
    frames: int
    cines: int
    unreadable: int
    formats: Mapping[str, int]
    bits: Mapping[int, int]
    sizes: Mapping[str, int]
    mask_values: tuple[MaskValue, ...]
    patients: int
    splits: Mapping[str, int]
    grouped: Grouped
    anomalies: tuple[str, ...]
    nameless: tuple[str, ...]

    @property
    def stops(self) -> tuple[str, ...]:
        """The anomalies with which nothing can be trained."""
        return tuple(one for one in self.anomalies if one.endswith(STOPS))

    def to_json(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "nameless"}
        return {key: _plain(value) for key, value in plain.items()}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def describe_folder(folder: Path, *, processes: int = 1, progress: Progress | None = None) -> FolderSummary:
    """Read every image and mask of a hospital's folder and sum up what is there and what is wrong.

    Args:
        folder: holds `images/`, `masks/` and `dataset.json`.
        processes: see `inspect_folder`.
        progress: called with (files done, files in all).

    Raises:
        DataError: where there is no image, no mask, or `dataset.json` is wrong.
    """
    return describe(inspect_folder(folder, processes=processes, progress=progress))


def describe(inspection: Inspection) -> FolderSummary:
    """Sum up what was found in a folder."""
    tally = _Tally(inspection.manifest, patients=len(set(inspection.patient_of.values())))
    for told in inspection.told:
        tally.note(told)
    for stem in (stem for stem in inspection.masks if stem not in inspection.images):
        tally.note(f"{MASKS}/{inspection.masks[stem].name} has no image", "a mask has no image")
    if inspection.misfit is not None:
        tally.note(f"{inspection.misfit}{STOPS}", f"patients or splits do not fit the files{STOPS}")
    for stem, image in inspection.images.items():
        if stem not in inspection.seen:
            tally.note(f"{IMAGES}/{image.name} has no mask{STOPS}", f"an image has no mask{STOPS}")
            continue
        _add(tally, inspection.seen[stem], inspection.split_of.get(stem))
    tally.tell_refused()
    if inspection.manifest.unlabelled:
        _look_at_unlabelled(tally, inspection.folder)
    for text, nameless in _late_anomalies(tally, inspection):
        tally.note(text, nameless)
    return tally.summary(inspection)


@dataclass
class _Tally:
    """Counts while the files are gone through."""

    manifest: Manifest
    patients: int
    anomalies: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)
    unreadable: int = 0
    frames: int = 0
    cines: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    bits: Counter[int] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    pixels_of: Counter[int] = field(default_factory=Counter)
    frames_of: Counter[int] = field(default_factory=Counter)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def note(self, anomaly: str, nameless: str | None = None) -> None:
        """Keep what should be looked at; `nameless` says the same without a file's name, where it holds one."""
        self.anomalies.append(anomaly)
        self.nameless.append(anomaly if nameless is None else nameless)

    def refuse(self, seen: Seen) -> None:
        """Count a file that cannot be used, by what is wrong with it."""
        self.unreadable += 1
        reason = str(seen.problem)
        cause = reason.replace(seen.pair.mask.name, "").replace(seen.pair.image.name, "")
        self.refused.setdefault(cause, []).append(reason)

    def tell_refused(self) -> None:
        """Note the files that cannot be used; those with the same wrong with them in one line, where they are many."""
        for reasons in self.refused.values():
            one_line = len(reasons) > MOST_ALIKE
            for reason in reasons[:1] if one_line else reasons:
                more = f" (and {len(reasons) - 1} more files)" if one_line else ""
                self.note(reason + more, f"a file cannot be used{more}")

    def summary(self, inspection: Inspection) -> FolderSummary:
        pixels = sum(self.pixels_of.values())
        return FolderSummary(
            name=self.manifest.name,
            inferred=inspection.inferred,
            classes=self.manifest.classes,
            annotated=self.manifest.annotated,
            test_annotated=self.manifest.test_annotated,
            images=len(inspection.images),
            frames=self.frames,
            cines=self.cines,
            unreadable=self.unreadable,
            formats=dict(self.formats),
            bits=dict(sorted(self.bits.items())),
            sizes=dict(self.sizes.most_common()),
            mask_values=tuple(
                MaskValue(value, self.manifest.classes.get(value), count / pixels, self.frames_of[value])
                for value, count in sorted(self.pixels_of.items())
            ),
            patients=self.patients,
            splits={name: self.splits[name] for name in SPLIT_NAMES},
            grouped=grouped(inspection),
            anomalies=tuple(self.anomalies),
            nameless=tuple(self.nameless),
        )


def _look_at_unlabelled(tally: _Tally, folder: Path) -> None:
    """Images without masks are counted nowhere; what is wrong with them is told."""
    try:
        paths = list_unlabelled(folder)
    except DataError as error:
        tally.note(f"{error}{STOPS}", f"images without masks are declared and cannot be found{STOPS}")
        return
    for path in paths.values():
        try:
            tally.manifest.patient_of(stem_of(path))
            read_image(path)
        except DataError as error:
            tally.note(f"{UNLABELLED}/: {error}", "a file without a mask cannot be used")


def _add(tally: _Tally, seen: Seen, split: str | None) -> None:
    if seen.problem is not None:
        tally.refuse(seen)
        return
    count, rows, columns = seen.shape
    tally.frames += count
    tally.cines += count > 1
    tally.formats[seen.format] += 1
    tally.bits[seen.bits] += 1
    tally.sizes[f"{columns} x {rows}"] += 1
    if split is not None:
        tally.splits[split] += count
    if seen.constant:
        tally.note(f"{IMAGES}/{seen.pair.image.name} is of one grey value only", "an image is of one grey value only")
    if seen.mask_shape != seen.shape:
        frames, high, wide = seen.mask_shape
        sizes = f"is {wide} x {high} x {frames} but its image {columns} x {rows} x {count}{STOPS}"
        tally.note(f"{MASKS}/{seen.pair.mask.name} {sizes}", f"a mask {sizes}")
        return
    for values in seen.values:
        tally.pixels_of.update(values)
        tally.frames_of.update(values.keys())


def _late_anomalies(tally: _Tally, inspection: Inspection) -> list[tuple[str, str]]:
    """What shows only when every file was seen; each with and without the name of a file."""
    classes, images = tally.manifest.classes, len(inspection.images)
    found = [
        f"mask value {value} is not in the classes of {FILE_NAME}{STOPS}"
        for value in sorted(tally.pixels_of)
        if value not in classes
    ]
    found += [f"class {name!r} is in no mask" for value, name in classes.items() if value not in tally.pixels_of]
    found += [
        f"no frame for {name}{STOPS if name == 'train' else ''}" for name in SPLIT_NAMES if not tally.splits[name]
    ]
    if tally.unreadable > MAX_QUARANTINED * images:
        found.append(f"{tally.unreadable} of {images} files cannot be used{STOPS}")
    return [(text, text) for text in found] + notices(inspection)


def _lines(summary: FolderSummary) -> list[str]:
    lines = [
        f"{summary.name}: {summary.images} images, {summary.frames} readable frames, {summary.patients} patients",
        f"  formats   {_counts(summary.formats)}; bits {_counts(summary.bits)}; cines {summary.cines}",
        f"  sizes     {_counts(dict(list(summary.sizes.items())[:5]))}" + (" ..." if len(summary.sizes) > 5 else ""),
        f"  frames    {', '.join(f'{name} {count}' for name, count in summary.splits.items())}",
        f"  annotated {', '.join(summary.annotated)}; in test {', '.join(summary.test_annotated)}",
        *summary.grouped.lines(),
    ]
    lines += [
        f"  mask {one.value:>5} {one.name or 'NOT DECLARED':<16} {one.share:8.3%} of pixels, in {one.frames} frames"
        for one in summary.mask_values
    ]
    lines += [f"  look at: {anomaly}" for anomaly in summary.anomalies]
    return lines if summary.anomalies else [*lines, "  nothing wrong was found"]


def _counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{key} ({count})" for key, count in counts.items()) or "none"


def _plain(value: Any) -> Any:
    """Mappings with text keys, as JSON has them; tuples as lists."""
    if isinstance(value, Grouped):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    return [asdict(one) if isinstance(one, MaskValue) else one for one in value] if isinstance(value, tuple) else value
