"""An export to a clean silo, file by file; what was done stays done when the process is ended."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fedefm.data.deidentify.journal import Entry, Journal, open_journal
from fedefm.data.deidentify.one_file import Cleaned, HeldBackError, clean_image, clean_mask
from fedefm.data.deidentify.page import CROPS, LIST, write_lists
from fedefm.data.deidentify.plan import Plan, make_plan
from fedefm.data.deidentify.secret import Secret, read_secret
from fedefm.data.folder import IMAGES, MASKS, UNLABELLED
from fedefm.data.importers.collection import Options
from fedefm.data.manifest import Manifest, write_manifest
from fedefm.errors import ConfigError, DataError
from fedefm.files import check_free, is_refused_write, told

PATIENTS = "^(?P<patient>[^_]+)_"
"""Files are named PATIENT_FILE."""

TEXT = "may show text; see the page"
SAID = "its header says that text is burned in (BurnedInAnnotation)"
TWIN = "the same bytes as"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Silo:
    """What was made of an export; counts alone, so that it may be shown anywhere.

    Attributes:
        labelled: image files with a mask.
        unlabelled: image files without one.
        frames: of both.
        patients: of both.
        held_back: files that stayed out.
        text: of those, files that may show text.
        before: files that were done before this run.
    """

    labelled: int
    unlabelled: int
    frames: int
    patients: int
    held_back: int
    text: int
    before: int

    def to_json(self) -> dict[str, int]:
        """The same as plain values for JSON."""
        return asdict(self)


def private_folder(out: Path) -> Path:
    """Where the salt and all lists with names lie by default: beside the new folder."""
    whole = out.resolve()
    return whole.with_name(f"{whole.name}-private")


def prepare_silo(
    source: Path,
    out: Path,
    options: Options,
    *,
    private: Path | None = None,
    accept_text: bool = False,
    name: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Silo:
    """Clean an export into a new folder: `images/` with `masks/`, `unlabelled/`, and `dataset.json`.

    The folder takes its place when all files are done. Ended earlier, the same call goes on where it stopped.

    Args:
        source: the export; it is never changed.
        out: a new or empty folder.
        options: patterns, classes and patients, as for `fedefm data import folders`.
        private: the hospital's own folder, with salt, journal, list and page; None for one beside `out`.
        accept_text: a person has seen the page, and what may be text is harmless.
        name: the silo; None for the name of `out`.
        progress: called with (files done, files in all).

    Raises:
        ConfigError: a place is taken, lies within another, or cannot be written.
        DataError: the source is no folder or empty, or nothing of it can be used.
    """
    private = private_folder(out) if private is None else private
    check_free(out)
    _check_apart(source, out, private)
    plan = make_plan(source, options)
    secret = read_secret(private)
    whole = out.resolve()
    staging = whole.with_name(f".{whole.name}.preparing")
    for folder in (staging / IMAGES, staging / MASKS, staging / UNLABELLED, private / CROPS):
        with told(folder):
            folder.mkdir(0o700 if folder.is_relative_to(private) else 0o777, parents=True, exist_ok=True)
    said = {"source": str(source.resolve()), "options": asdict(options), "accept_text": accept_text}
    with open_journal(private / f"{whole.name}.journal", said) as journal:
        work = _Work(plan, secret, staging, private, accept_text, options)
        before = _go_through(work, journal, progress)
        entries = [journal.entries[file] for file in plan.files]
        write_lists(private, entries)
        kept = [entry for entry in entries if entry.outs]
        if not kept:
            raise DataError(f"{source.name}: nothing can be used; {private / LIST} says why, file by file")
        _finish(plan, kept, staging, name or whole.name)
        with told(out):
            if whole.exists():
                whole.rmdir()
            staging.replace(whole)
        with told(private):
            (private / f"{whole.name}.journal").rename(private / f"{whole.name}.names")
    return _counted(entries, before)


@dataclass(frozen=True)
class _Work:
    plan: Plan
    secret: Secret
    staging: Path
    private: Path
    accept_text: bool
    options: Options


def _check_apart(source: Path, out: Path, private: Path) -> None:
    a, b, c = source.resolve(), out.resolve(), private.resolve()
    if b.is_relative_to(a) or a.is_relative_to(b):
        raise ConfigError(f"{out}: lies in the export or around it, which is never changed; name a folder elsewhere")
    if c.is_relative_to(a) or c.is_relative_to(b) or b.is_relative_to(c):
        raise ConfigError(f"{private}: must lie outside of the export and of {out.name}; it holds names and the salt")


def _go_through(work: _Work, journal: Journal, progress: Progress) -> int:
    """Do what is not done yet; how many files were done before."""
    before, owner = 0, dict[str, str]()
    for number, file in enumerate(work.plan.files, start=1):
        entry, stamp = journal.entries.get(file), _stamp(work, file)
        if entry is not None and entry.stamp == stamp and all((work.staging / out).is_file() for out in entry.outs):
            before += 1
        else:
            entry = _done(work, file, stamp, owner)
            journal.add(entry)
        owner |= dict.fromkeys(entry.outs, file)
        progress(number, len(work.plan.files))
    return before


def _stamp(work: _Work, file: str) -> list[list[int]]:
    paths = [work.plan.source / file, *([work.plan.masks[file]] if file in work.plan.masks else [])]
    try:
        found = [path.stat() for path in paths]
    except OSError as error:
        reason = f"is gone or cannot be looked at ({error.strerror}); leave the export as it is"
        raise DataError(f"{file}: {reason}") from error
    return [[one.st_size, one.st_mtime_ns] for one in found]


def _done(work: _Work, file: str, stamp: list[list[int]], owner: dict[str, str]) -> Entry:
    """One file, written or held back."""
    path, part = work.plan.source / file, work.staging / f".part-{os.getpid()}"
    mask_part = part.with_name(f"{part.name}-mask")
    cleaned: Cleaned | None = None
    crops: list[str] = []
    try:
        if file in work.plan.lonely:
            raise HeldBackError("a mask without an image; change the patterns, or add the image")
        group = _group_of(work, Path(file))
        cleaned = clean_image(path, group, work.secret, part, named=file in work.plan.named)
        crops = _keep_crops(work, cleaned)
        if (cleaned.crops or cleaned.says_text) and not work.accept_text:
            raise HeldBackError(SAID if cleaned.says_text else TEXT)
        ending = None
        if file in work.plan.masks:
            ending = clean_mask(work.plan.masks[file], path, list(work.plan.classes), mask_part)
        outs = _placed(work, cleaned, ending, part, mask_part, owner)
        return Entry(file, stamp, outs, cleaned.patient, cleaned.frames, crops=crops)
    except DataError as error:
        patient, frames = (cleaned.patient, cleaned.frames) if cleaned else ("", 0)
        return Entry(file, stamp, [], patient, frames, str(error), crops)
    except OSError as error:
        if is_refused_write(error) or str(error.filename or "").startswith(str(work.staging)):
            raise
        return Entry(file, stamp, [], reason=f"cannot be opened ({error.strerror}); check its permissions")
    finally:
        part.unlink(missing_ok=True)
        mask_part.unlink(missing_ok=True)


def _group_of(work: _Work, file: Path) -> str:
    """Whose image it is where its header is silent: as its name says by the expression, else all of its folder's."""
    try:
        return work.options.patient_of(file.stem) or str(file.parent)
    except ConfigError as error:
        raise HeldBackError("--patients does not match its name; correct the expression") from error


def _keep_crops(work: _Work, cleaned: Cleaned) -> list[str]:
    names = [f"{cleaned.name}-{k}.png" for k in range(len(cleaned.crops))]
    for name, picture in zip(names, cleaned.crops, strict=True):
        picture.save(work.private / CROPS / name)
        (work.private / CROPS / name).chmod(0o600)
    return names


def _placed(
    work: _Work, cleaned: Cleaned, ending: str | None, part: Path, mask_part: Path, owner: dict[str, str]
) -> list[str]:
    """Move what was written to its place: the mask first, so that no image with a mask ever stands without."""
    image = f"{UNLABELLED if ending is None else IMAGES}/{cleaned.name}{cleaned.ending}"
    for place in (UNLABELLED, IMAGES):
        if twin := owner.get(f"{place}/{cleaned.name}{cleaned.ending}"):
            raise HeldBackError(f"{TWIN} {twin}; keep one of them")
    outs = [image]
    if ending is not None:
        outs.append(f"{MASKS}/{cleaned.name}{ending}")
        mask_part.replace(work.staging / outs[1])
    part.replace(work.staging / image)
    return outs


def _finish(plan: Plan, kept: list[Entry], staging: Path, name: str) -> None:
    """Remove what no entry knows, such as half a file of a killed process, and empty folders; write dataset.json."""
    known = {staging / out for entry in kept for out in entry.outs}
    for path in sorted(staging.rglob("*")):
        if path.is_file() and path not in known:
            path.unlink()
    for folder in (IMAGES, MASKS, UNLABELLED):
        if not any((staging / folder).iterdir()):
            (staging / folder).rmdir()
    manifest = Manifest(name, plan.classes, patients=PATIENTS)
    write_manifest(manifest, staging, origin={"prepared by": "fedefm data prepare"})


def _counted(entries: list[Entry], before: int) -> Silo:
    kept = [entry for entry in entries if entry.outs]
    folders = Counter(entry.outs[0].partition("/")[0] for entry in kept)
    return Silo(
        labelled=folders[IMAGES],
        unlabelled=folders[UNLABELLED],
        frames=sum(entry.frames for entry in kept),
        patients=len({entry.patient for entry in kept}),
        held_back=len(entries) - len(kept),
        text=sum(entry.reason in (TEXT, SAID) for entry in entries),
        before=before,
    )
