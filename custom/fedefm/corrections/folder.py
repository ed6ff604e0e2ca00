"""A folder of corrections: images beside the masks that a model proposed, ready for ITK-SNAP or 3D Slicer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from fedefm.corrections.choose import Frames, check_runs, frames_for
from fedefm.corrections.manifest import (
    IMAGES,
    MASKS,
    PROPOSED,
    VERSION,
    CorrectedRun,
    Corrections,
    Frame,
    place_of,
)
from fedefm.corrections.pixels import proposed_labels, stacked
from fedefm.corrections.viewers import ITK_SNAP, SLICER, itk_snap_labels, slicer_colours
from fedefm.data.nifti_file import nifti_bytes, smallest
from fedefm.data.nifti_header import Geometry
from fedefm.data.proposed import mask_sha256
from fedefm.data.readers import numbered, stem_of
from fedefm.errors import ConfigError, DataError
from fedefm.files import check_free, new_folder
from fedefm.inference.proposals import PROPOSALS, Proposals, read_proposals
from fedefm.report.corrections import corrections_page

PAGE = "README.html"
_OPTION = "--frames"
Result = tuple[Path, Proposals]


def correct(
    results: Sequence[Path],
    said: Sequence[Frames],
    out: Path,
    *,
    source: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Corrections:
    """Make a folder in which a person corrects masks.

    Args:
        results: folders of `fedefm segment`, or folders that hold some.
        said: which frames.
        out: a folder that does not exist, or is empty.
        source: where the run that was segmented lies now, if it was moved; of a single run.
        progress: called with (runs done, runs in all).

    Returns:
        What its manifest holds.

    Raises:
        DataError: a result or its source is not there any more, or was changed.
        ConfigError: frames or the place make no sense, or results are of several models.
    """
    check_free(out)
    places = find_results(results)
    if source is not None and len(places) > 1:
        raise ConfigError(f"--source: for one run at a time; there are {len(places)}")
    found = _named(places, source)
    check_runs(said, list(found), _OPTION)
    model, classes = _one_model(list(found.values()))
    wanted = {name: numbers for name, (_, one) in found.items() if (numbers := _chosen(name, one, said))}
    if not wanted:
        raise ConfigError(f"{_OPTION}: no frame of {', '.join(found)} is named")
    with new_folder(out) as folder:
        for part in (IMAGES, MASKS, PROPOSED):
            (folder / part).mkdir()
        runs = []
        for done, (name, numbers) in enumerate(wanted.items(), 1):
            runs.append(_write_run(folder, name, found[name], numbers, source))
            progress(done, len(wanted))
        made = Corrections(VERSION, model, classes, tuple(runs))
        (folder / ITK_SNAP).write_text(itk_snap_labels(classes), encoding="utf-8")
        (folder / SLICER).write_text(slicer_colours(classes), encoding="utf-8")
        page = corrections_page(classes, [(run.name, [one.frame for one in run.frames]) for run in runs], model)
        (folder / PAGE).write_text(page, encoding="utf-8")
        made.write(folder)
    return made


def find_results(places: Sequence[Path]) -> list[Path]:
    """The folders of segmented runs among these, or right below them.

    Raises:
        DataError: there is none.
    """
    found: list[Path] = []
    for place in places:
        below = [] if not place.is_dir() else sorted(one for one in place.iterdir() if (one / PROPOSALS).is_file())
        found += [place] if (place / PROPOSALS).is_file() or not below else below
    return list(dict.fromkeys(found))


def _named(results: Sequence[Path], source: Path | None) -> dict[str, Result]:
    """Results by the names of their sources; a name that came before gets a number."""
    stems, found = [], []
    for result in results:
        proposals = read_proposals(result)
        files = proposals.source.files
        path = proposals.source.open(files[0], source).path
        whole = stem_of(path) if len(files) == 1 else path.absolute().parent.name
        stems.append(re.sub(r"[^\w.\-]+", "-", whole).strip("-._ ")[:180] or "run")
        found.append((result, proposals))
    return dict(zip(numbered(stems), found, strict=True))


def _one_model(results: Sequence[Result]) -> tuple[str, tuple[str, ...]]:
    kinds = {(one.model, one.classes) for _, one in results}
    if len(kinds) > 1:
        raise ConfigError("the runs were segmented by several models; make a folder for each of these")
    return kinds.pop()


def _chosen(name: str, proposals: Proposals, said: Sequence[Frames]) -> tuple[int, ...]:
    """Numbers of frames of a run, in order."""
    total = len(proposals.frames)
    found: set[int] = set()
    for one in frames_for(name, said):
        if one.worst:
            order = sorted(range(1, total + 1), key=lambda k: (proposals.frames[k - 1].least_sure, k))
            found.update(order[: one.worst])
        elif one.numbers:
            if one.numbers[-1] > total:
                raise ConfigError(f"{_OPTION} {one.numbers[-1]}: {name} has {total} frames")
            found.update(one.numbers)
        else:
            found.update(range(1, total + 1))
    return tuple(sorted(found))


def _write_run(folder: Path, name: str, result: Result, numbers: Sequence[int], source: Path | None) -> CorrectedRun:
    place, proposals = result
    images, spacing_mm = stacked(proposals.source, numbers, (proposals.rows, proposals.columns), source)
    labels = proposed_labels(place, proposals, numbers)
    frames = tuple(Frame(number, mask_sha256(mask)) for number, mask in zip(numbers, labels, strict=True))
    for frame in frames:
        if frame.proposed != proposals.frames[frame.frame - 1].mask:
            raise DataError(f"{place}: the mask of frame {frame.frame} is not what was marked; segment the run again")
    run = CorrectedRun(name, proposals.source, proposals.rows, proposals.columns, frames)
    geometry = Geometry.flat(spacing_mm)
    place_of(folder, IMAGES, run).write_bytes(nifti_bytes(smallest(images), geometry))
    for part in (MASKS, PROPOSED):
        place_of(folder, part, run).write_bytes(nifti_bytes(labels, geometry))
    return run
