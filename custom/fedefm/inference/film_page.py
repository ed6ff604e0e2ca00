"""`index.html` of a segmented run, and the pictures that it shows: what a person looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from fedefm.inference.predict import Labelled
from fedefm.inference.trained_on import SYNTHETIC_ONLY, unlike_training
from fedefm.metrics import Tip
from fedefm.report.film import Film, FilmMarks, film_page
from fedefm.report.label_runs import label_runs

PICTURES = "frames"
_QUALITY = 88  # of JPEG: 1 ms and 30 kB a frame of 512 x 512, where PNG takes 5 ms and 90 kB
_MOST_BYTES = 48_000_000  # of marks in one page; a run of 3000 frames needs about as much


class Shown(NamedTuple):
    """What the page shows of a frame.

    Attributes:
        runs: its marks, of `label_runs`.
        picture: its grey values, as the bytes of a JPEG file.
    """

    runs: str
    picture: bytes


class FilmPage:
    """Gathers what the page shows, frame by frame; `frames/` gets their pictures.

    Args:
        folder: where to write.
        classes: foreground class names, in label order.
        devices: those of them that have a tip.
        digits: of the number in a picture's name.
    """

    name = "index.html"

    def __init__(self, folder: Path, classes: Sequence[str], devices: Sequence[str], digits: int) -> None:
        self._folder, self._digits, self._bytes = folder, digits, 0
        self._marks = FilmMarks(classes, devices)
        (folder / PICTURES).mkdir()

    @property
    def _is_full(self) -> bool:
        """Whether more would be too much for a browser."""
        return self._bytes > _MOST_BYTES

    def show(self, frame: Labelled) -> Shown | None:
        """What the page will show of a frame; None where it is full. It may be called in any thread."""
        if self._is_full:
            return None
        picture = BytesIO()
        Image.fromarray(frame.grey).save(picture, "JPEG", quality=_QUALITY)
        return Shown(label_runs(frame.labels), picture.getvalue())

    def add(self, frame: Labelled, tips: Mapping[str, Tip], shown: Shown) -> None:
        """Append a frame, as long as the page stays small enough for a browser; in the order of the frames."""
        if self._is_full:
            return
        self._bytes += len(shown.runs)
        self._marks.add(shown.runs, {name: (tip.x, tip.y) for name, tip in tips.items()}, frame.probabilities)
        (self._folder / PICTURES / f"{frame.number:0{self._digits}d}.jpg").write_bytes(shown.picture)

    def write(self, summary: Mapping[str, Any]) -> None:
        """Write the page; `summary` is that of `summary.json`."""
        left_out = [f"No {what}: {why}." for what, why in summary["not_written"].items()]
        if frames := summary["left_out"]["frames"]:
            where = f"in {frames} frame{'' if frames == 1 else 's'}"
            left_out.insert(
                0, f"What was marked on the X-ray shutter or on the image's border, {where}, is in no mask."
            )
        notes = [SYNTHETIC_ONLY] if summary["model"]["synthetic_images_only"] else []
        unlike = summary["unlike_training"]
        if unlike["measured"] and (note := unlike_training(unlike["frames"], summary["frames"])):
            notes.append(note)
        film = Film(self._marks, (PICTURES, "jpg"), self._digits, left_out, notes, _NEXT, summary)
        (self._folder / self.name).write_text(film_page(film), encoding="utf-8")


_NEXT = (
    "Where marks are right often enough, measure them on your own masks; where they are wrong, correct some.",
    "fedefm correct THIS_FOLDER --frames 3,17 -o TO_CORRECT",
)
