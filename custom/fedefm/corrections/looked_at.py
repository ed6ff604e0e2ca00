"""Which masks of a folder of corrections a person looked at, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from fedefm.corrections.choose import Frames, check_runs, frames_for
from fedefm.corrections.manifest import IMAGES, MASKS, PROPOSED, CorrectedRun, Corrections, Frame, place_of
from fedefm.corrections.pixels import check_count
from fedefm.data.folder import is_clutter
from fedefm.data.proposed import mask_sha256
from fedefm.data.readers import count_values, read_mask, read_mask_shape, stem_of
from fedefm.errors import ConfigError, DataError
from fedefm.metrics.overlap import Overlap

_OPTION = "--confirmed"


@dataclass(frozen=True)
class LookedAt:
    """A mask that a person changed or confirmed.

    Attributes:
        run: of the folder.
        frame: of the run.
        labels: 0, and k for the k-th class of the folder.
        changed_pixels: that differ from the proposal.
        dice: of the mask and the proposal, over the pixels of all classes together.
    """

    run: CorrectedRun
    frame: Frame
    labels: UInt8[np.ndarray, "h w"]
    changed_pixels: int
    dice: float


def looked_at(folder: Path, corrections: Corrections, confirmed: Sequence[Frames] = ()) -> list[LookedAt]:
    """Every mask that a person changed, or said to be right.

    Args:
        folder: of `correct`, after a person's work.
        corrections: its manifest.
        confirmed: frames that are right as they were proposed.

    Raises:
        DataError: a file is missing, a link, of another size or frame count than the manifest says, holds a value that
            is no class, or the proposals were changed.
        ConfigError: `confirmed` names what the folder does not hold.
    """
    check_runs(confirmed, [run.name for run in corrections.runs], _OPTION)
    for part in (IMAGES, MASKS, PROPOSED):
        if (folder / part).is_symlink() or not (folder / part).is_dir():
            raise DataError(f"{folder}: {part}/ is no folder of its own; give the folder that `fedefm correct` made")
    found: list[LookedAt] = []
    for run in corrections.runs:
        found += _of_run(folder, run, corrections.classes, _right(run, confirmed))
    return found


def _right(run: CorrectedRun, confirmed: Sequence[Frames]) -> set[int]:
    """Numbers of frames that were confirmed."""
    held = {one.frame for one in run.frames}
    found = {one.frame for one in run.frames if one.confirmed}
    for one in frames_for(run.name, confirmed):
        if one.worst:
            raise ConfigError(f"{_OPTION}: name the frames that you looked at, not the worst")
        if missing := sorted(set(one.numbers) - held):
            raise ConfigError(
                f"{_OPTION} {missing[0]}: {run.name} holds the frames {', '.join(map(str, sorted(held)))}"
            )
        found.update(one.numbers or held)
    return found


def _of_run(folder: Path, run: CorrectedRun, classes: Sequence[str], right: set[int]) -> Iterator[LookedAt]:
    check_count(len(run.frames), (run.rows, run.columns))
    proposals = _read(_own_file(place_of(folder, PROPOSED, run)), folder, run, classes)
    for frame, proposal in zip(run.frames, proposals, strict=True):
        if mask_sha256(proposal) != frame.proposed:
            raise DataError(
                f"{run.name}: what was proposed for frame {frame.frame} was changed in {PROPOSED}/; "
                "make the folder again with fedefm correct"
            )
    masks = _read(_mask_of(folder, run), folder, run, classes)
    if proposals.any() and not masks.any() and not right:
        raise DataError(
            f"{run.name}: nothing is marked in any of its masks now; where nothing is there indeed, confirm it with "
            f"{_OPTION}, otherwise save the masks again"
        )
    for frame, mask, proposal in zip(run.frames, masks, proposals, strict=True):
        changed = int(np.count_nonzero(mask != proposal))
        if changed or frame.frame in right:
            yield LookedAt(run, frame, mask, changed, round(_dice(mask, proposal, len(classes)), 4))


def _dice(mask: UInt8[np.ndarray, "h w"], proposal: UInt8[np.ndarray, "h w"], classes: int) -> float:
    return sum((Overlap.of(mask == k, proposal == k) for k in range(1, classes + 1)), Overlap()).dice


def _mask_of(folder: Path, run: CorrectedRun) -> Path:
    """The mask of a run: the one that was saved, in any format; a viewer may have put it beside the first one."""
    found = [path for path in (folder / MASKS).iterdir() if not is_clutter(path) and stem_of(path) == run.name]
    saved = sorted(path for path in found if path != place_of(folder, MASKS, run)) or found
    if not saved:
        raise DataError(f"{run.name}: no mask in {MASKS}/; save it there under the name of its image")
    if len(saved) > 1 or (len(found) > 1 and _is_changed(folder, run)):
        raise DataError(f"{run.name}: has several masks in {MASKS}/; keep the one that is right")
    return _own_file(saved[0])


def _is_changed(folder: Path, run: CorrectedRun) -> bool:
    """Whether the first mask is not the one that was proposed any more."""
    one, other = (_own_file(place_of(folder, part, run)) for part in (MASKS, PROPOSED))
    return one.read_bytes() != other.read_bytes()


def _own_file(path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise DataError(f"{path.parent.name}/{path.name}: no file of its own in the folder; save it there")
    return path


def _read(path: Path, folder: Path, run: CorrectedRun, classes: Sequence[str]) -> UInt8[np.ndarray, "f h w"]:
    """Label maps, on the pixels of the run's image."""
    image = _own_file(place_of(folder, IMAGES, run))
    shape = read_mask_shape(path, image)
    if shape != run.shape:
        raise DataError(
            f"{path.parent.name}/{path.name}: has {_size(shape)}, and its image {_size(run.shape)}; "
            "save it on the pixels and slices of its image"
        )
    labels: Int64[np.ndarray, "f h w"] = read_mask(path, image)
    if strange := sorted(set(count_values(labels)) - set(range(len(classes) + 1))):
        frame = run.frames[int(np.argwhere(labels == strange[0])[0][0])].frame
        known = ", ".join(f"{k} {name}" for k, name in enumerate(("nothing", *classes)))
        raise DataError(
            f"{path.parent.name}/{path.name}: value {strange[0]} in frame {frame} is no class; there are {known}"
        )
    return labels.astype(np.uint8)


def _size(shape: tuple[int, int, int]) -> str:
    frames, rows, columns = shape
    return f"{frames} slice{'' if frames == 1 else 's'} of {columns} x {rows}"
