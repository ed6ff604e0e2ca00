"""`corrections.json`: what a folder of corrections holds, frame by frame, and what proposed it.

The folder may have been anywhere and in anybody's hands, so every value is bounded when it is read, and no path of it
leads out of the folder: places follow from the name of a run alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from fedefm.corrections.choose import MOST
from fedefm.data.nifti_file import ENDING
from fedefm.errors import ConfigError, DataError
from fedefm.files import write_json
from fedefm.inference.proposals import Side, Source, Version
from fedefm.settings import ClassNames, JsonSettings, Sha256, load_small, settings_class

MANIFEST = "corrections.json"
VERSION = 1
IMAGES, MASKS, PROPOSED = "images", "masks", "proposed"
_MOST_BYTES = 64_000_000
_MOST_RUNS, _MOST_CLASSES = 4096, 254
_NAME = re.compile(r"[\w][\w.\- ]{0,199}")
_Count = Annotated[int, Field(gt=0, le=MOST)]


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
        raise ValueError("must be a plain name: letters, digits, '.', '-', '_' and spaces")
    return name


def _check_rising(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    numbers = [one.frame for one in frames]
    if not numbers or numbers != sorted(set(numbers)):
        raise ValueError("must name frames in order, each once")
    return frames


@settings_class
class Frame:
    """A frame that may be corrected.

    Attributes:
        frame: its number in the run, from 1 on.
        proposed: `mask_sha256` of what the model marked.
        confirmed: a person looked at it and left the mask as it was. A mask that differs from the proposal needs no
            such word; any other frame was not looked at, and is never a label.
    """

    frame: _Count
    proposed: Sha256
    confirmed: bool = False


@settings_class
class CorrectedRun:
    """A run with frames that may be corrected.

    Attributes:
        name: of its files, in `images/`, `masks/` and `proposed/`.
        source: what was segmented.
        rows: of a frame.
        columns: of a frame.
        frames: in the order of the slices.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    source: Source
    rows: Side
    columns: Side
    frames: Annotated[tuple[Frame, ...], AfterValidator(_check_rising)]

    def __post_init__(self) -> None:
        if self.frames[-1].frame > self.source.frames:
            raise ConfigError(f"{self.name}: frame {self.frames[-1].frame} of a source of {self.source.frames}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns of its files."""
        return len(self.frames), self.rows, self.columns


@settings_class
class Corrections(JsonSettings):
    """`corrections.json`.

    Attributes:
        version: of the file.
        model: fingerprint of the weights that proposed every mask.
        classes: foreground class names; the first is value 1 in the masks.
        runs: in order.
    """

    version: Version
    model: Sha256
    classes: Annotated[ClassNames, Field(max_length=_MOST_CLASSES)]
    runs: Annotated[tuple[CorrectedRun, ...], Field(min_length=1, max_length=_MOST_RUNS)]

    def __post_init__(self) -> None:
        names = [run.name.casefold() for run in self.runs]
        if len(set(names)) < len(names):
            raise ConfigError("runs: two have one name")

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        write_json(folder / MANIFEST, self.to_dict())


def read_corrections(folder: Path) -> Corrections:
    """What a folder of corrections holds.

    Raises:
        DataError: the folder is none.
        ConfigError: its manifest is damaged, a link, too large, or says what no `fedefm correct` writes.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: no {MANIFEST}; give the folder that `fedefm correct` made")
    return load_small(Corrections, folder / MANIFEST, _MOST_BYTES)


def place_of(folder: Path, part: str, run: CorrectedRun) -> Path:
    """Where a file of a run lies, as `fedefm correct` wrote it."""
    return folder / part / f"{run.name}{ENDING}"
