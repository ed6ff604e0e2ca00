"""From a run to a folder of results, one frame at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from fedefm.ahead import ahead
from fedefm.data.formats.dicom import Dicom
from fedefm.errors import ConfigError, DataError
from fedefm.files import new_folder
from fedefm.inference.film_page import FilmPage, Shown
from fedefm.inference.nifti_stack import NiftiStack
from fedefm.inference.picture import draw_overlay
from fedefm.inference.png import write_png
from fedefm.inference.predict import Labelled, Network, label_frames
from fedefm.inference.proposals import ProposalsFile
from fedefm.inference.source import Run
from fedefm.inference.tips import TipTable, devices, find_tips
from fedefm.inference.tracks import REACH, tracks
from fedefm.inference.trained_on import NO_LOOKS, NOT_CALIBRATED, knows_synthetic_only
from fedefm.inference.video import Film, open_film
from fedefm.metrics import Tip
from fedefm.metrics.steadiness import Steadiness
from fedefm.models.assurance import Assurance
from fedefm.report.palette import class_colours

if TYPE_CHECKING:
    from fedefm.inference.dicom_seg import SegObject

FORMATS = ("png", "nifti", "seg", "overlay", "page")
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Wanted:
    """What to write beside `tips.csv` and `summary.json`.

    Attributes:
        formats: of `FORMATS`: label maps, stack, DICOM segmentation object, overlay pictures, page.
        video: `auto`, `mp4`, `gif` or None.
        batch: frames that go through the network together.
        keep_shutter: keep marks on the shutter and on the image's border.
        steady: average the scores of a frame with those of the frames beside it.
    """

    formats: tuple[str, ...] = FORMATS
    video: str | None = "auto"
    batch: int = 4
    keep_shutter: bool = False
    steady: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.formats) - set(FORMATS):
            raise ConfigError(f"--format {sorted(unknown)[0]}: choose from {', '.join(FORMATS)}")
        if self.batch < 1:
            raise ConfigError(f"--batch {self.batch}: give 1 or more")


def segment(
    run: Run,
    network: Network,
    out: Path,
    wanted: Wanted | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Segment a run into a new folder, or leave nothing.

    Args:
        run: of `open_run`.
        network: of `load_network`.
        out: a folder that does not exist, or is empty.
        wanted: what to write.
        progress: called with (frames done, frames in all).

    Returns:
        What `summary.json` holds.

    Raises:
        ConfigError: the folder holds something, or cannot be made.
        DataError: a frame cannot be read.
    """
    wanted, started = wanted or Wanted(), time.monotonic()
    with new_folder(out) as folder, ExitStack() as stack:
        writers = _Writers(run, network, folder, wanted)
        stack.callback(writers.abandon)
        found = label_frames(network, run.frames(), wanted.batch, wanted.keep_shutter, wanted.steady)
        frames = stack.enter_context(closing(found))
        for frame, drawn in stack.enter_context(closing(ahead(writers.draw, frames, torch.get_num_threads()))):
            writers.add(frame, drawn)
            progress(frame.number, run.shape[0])
        writers.close()
        summary = _summary(run, network, writers, time.monotonic() - started)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if writers.page is not None:
            writers.page.write(summary)
    return summary


class LeftOut(NamedTuple):
    """What the network marked on the shutter or on the image's border, and is in no mask.

    Attributes:
        frames: in which it did.
        pixels: of all of them.
    """

    frames: int
    pixels: int

    def and_of(self, pixels: int) -> LeftOut:
        """The same with a frame more."""
        return LeftOut(self.frames + bool(pixels), self.pixels + pixels)


class _Drawn(NamedTuple):
    """What is made of a frame by itself, in any thread.

    Attributes:
        tips: of its devices.
        shown: what the page shows of it; None without a page.
        moving: the picture as a part of the film; None without a film.
    """

    tips: dict[str, Tip]
    shown: Shown | None
    moving: Any


class _Writers:
    """Every file that a run becomes."""

    def __init__(self, run: Run, network: Network, folder: Path, wanted: Wanted) -> None:
        self._run, self._folder, self._wanted = run, folder, wanted
        self._classes = network.checkpoint.classes
        self._devices = devices(self._classes)
        self._digits = max(4, len(str(run.shape[0])))
        self._open: list[Any] = []
        self.found = dict.fromkeys(self._classes, 0)
        self.tips: dict[str, list[Tip | None]] = {name: [] for name in self._devices}
        self.steadiness = Steadiness(self._classes, self._devices)
        self.left_out = LeftOut(0, 0)
        self.sure: dict[str, list[float]] = {name: [] for name in self._classes}
        self.strange: list[float | None] = []
        self.not_written: dict[str, str] = {} if run.spacing_mm else {"millimetres": run.why_no_spacing}
        self._table = self._keep(TipTable(folder, run.spacing_mm, self._classes))
        self._proposals = ProposalsFile(folder, run.files, network.checkpoint.sha256, self._classes)
        self._stack = self._keep(NiftiStack(folder, run.shape, run.geometry)) if "nifti" in wanted.formats else None
        self._film: Film | None = self._keep(self._film_of(wanted.video)) if wanted.video else None
        self._seg = self._segmentation_object(network.checkpoint.sha256) if "seg" in wanted.formats else None
        self.page = FilmPage(folder, self._classes, self._devices, self._digits) if "page" in wanted.formats else None
        for kind, name in (("png", "labels"), ("overlay", "overlays")):
            if kind in wanted.formats:
                (folder / name).mkdir()

    def draw(self, frame: Labelled) -> _Drawn:
        """Find tips, and write or compress the pictures of a frame; the same whatever frames went before."""
        tips = find_tips(frame, self._classes, self._devices)
        if "png" in self._wanted.formats:
            self._png("labels", frame.number, frame.labels)
        shown = None if self.page is None else self.page.show(frame)
        if self._film is None and "overlay" not in self._wanted.formats:
            return _Drawn(tips, shown, None)
        picture = draw_overlay(frame, self._classes, tips, self._run.shape[0])
        if "overlay" in self._wanted.formats:
            self._png("overlays", frame.number, picture)
        return _Drawn(tips, shown, None if self._film is None else self._film.encode(picture))

    def add(self, frame: Labelled, drawn: _Drawn) -> None:
        """Append a frame to what holds all of them; to be called in their order."""
        for name, probability in zip(self._classes, frame.probabilities, strict=True):
            self.found[name] += probability is not None
        self.left_out = self.left_out.and_of(frame.left_out)
        for name, tips in self.tips.items():
            tips.append(drawn.tips.get(name))
        self.steadiness.add(frame.labels, drawn.tips)
        self._table.add(frame, drawn.tips)
        self._proposals.add(frame)
        sure = () if frame.sure is None else frame.probabilities
        for name, value in zip(self._classes, sure, strict=False):
            if value is not None:
                self.sure[name].append(value)
        self.strange.append(frame.strange)
        if self._stack is not None:
            self._stack.add(frame.labels)
        if self._seg is not None:
            self._seg.add(frame.labels, sure)
        if self.page is not None and drawn.shown is not None:
            self.page.add(frame, drawn.tips, drawn.shown)
        if self._film is not None:
            self._film.append(drawn.moving)

    def close(self) -> None:
        """Finish every file."""
        while self._open:
            self._open.pop().close()
        self._proposals.close()
        if self._seg is not None:
            try:
                self._seg.close()
            except DataError as error:
                self.not_written["seg"] = str(error)

    def abandon(self) -> None:
        """Let go of what is still open, after an error."""
        while self._open:
            with suppress(Exception):
                self._open.pop().close()

    def _keep(self, writer: Any) -> Any:
        self._open.append(writer)
        return writer

    def _film_of(self, kind: str) -> Film:
        return open_film(self._folder, kind, tuple(class_colours(self._classes).values()))

    def _segmentation_object(self, sha256: str) -> SegObject | None:
        if not all(isinstance(file, Dicom) for file in self._run.files):
            self.not_written["seg"] = "the source is not DICOM"
            return None
        from fedefm.inference.dicom_seg import SegObject  # pydicom takes half a second to import

        try:
            paths = [file.path for file in self._run.files]
            return SegObject(self._folder, paths, self._classes, sha256, self._run.spacing_mm)
        except DataError as error:
            self.not_written["seg"] = str(error)
            return None

    def _png(self, folder: str, number: int, pixels: Any) -> None:
        write_png(self._folder / folder / f"{number:0{self._digits}d}.png", pixels)


def _summary(run: Run, network: Network, writers: _Writers, seconds: float) -> dict[str, Any]:
    checkpoint, (frames, rows, columns) = network.checkpoint, run.shape
    return {
        "frames": frames,
        "rows": rows,
        "columns": columns,
        "spacing_mm": run.spacing_mm,
        "labels": {"background": 0, **{name: k for k, name in enumerate(checkpoint.classes, 1)}},
        "frames_with": writers.found,
        "frames_with_tip": {name: sum(tip is not None for tip in tips) for name, tips in writers.tips.items()},
        "along_the_film": _along(writers, max(rows, columns)),
        "left_out": writers.left_out._asdict(),
        "confidence": _confidence(checkpoint.assurance, writers.sure),
        "unlike_training": _unlike(writers.strange),
        "model": {
            "sha256": checkpoint.sha256,
            "synthetic_images_only": knows_synthetic_only(checkpoint),
            "architecture": checkpoint.spec.architecture,
            "encoder": checkpoint.spec.encoder,
            "size": checkpoint.size,
        },
        "device": str(network.device),
        "seconds": round(seconds, 3),
        "seconds_a_frame": round(seconds / frames, 4),
        "not_written": writers.not_written,
        "use": "research only; not a medical device",
    }


def _confidence(assurance: Assurance, sure: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """How sure to be of each class: the mean over the frames that show it."""
    if assurance.confidence is None:
        return {"calibrated": False, "why": NOT_CALIBRATED}
    return {
        "calibrated": True,
        "by_class": {name: round(fmean(found), 4) if found else None for name, found in sure.items()},
        "validation_images": assurance.confidence.images,
        "error_before": assurance.confidence.error_before,
        "error_after": assurance.confidence.error_after,
    }


def _along(writers: _Writers, longest: int) -> dict[str, Any]:
    """How steadily the film is marked, and the way of each device's tip."""
    steadiness = writers.steadiness
    return {
        "flicker": _rounded(steadiness.flicker),
        "tip_jitter_px": _rounded(steadiness.tip_jitter_px),
        "tracks": {
            name: [asdict(one) | {"length_px": round(one.length_px, 1)} for one in tracks(tips, REACH * longest)]
            for name, tips in writers.tips.items()
        },
    }


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if one is None else round(one, 4) for name, one in values.items()}


def _unlike(strange: Sequence[float | None]) -> dict[str, Any]:
    """How many frames look like nothing in training, and how far each is from it, in thresholds."""
    known = [one for one in strange if one is not None]
    if not known:
        return {"measured": False, "why": NO_LOOKS}
    return {
        "measured": True,
        "frames": sum(one > 1 for one in known),
        "of_threshold": [round(one, 3) for one in known],
    }


def parse_formats(text: str) -> tuple[str, ...]:
    """`png,nifti` as a tuple; `Wanted` checks the names.

    `dicom_seg` is what TotalSegmentator calls `seg`.
    """
    parts = (part.strip() for part in text.split(",") if part.strip())
    return tuple("seg" if part == "dicom_seg" else part for part in parts)


__all__: Sequence[str] = ["FORMATS", "SUMMARY", "Wanted", "parse_formats", "segment"]
