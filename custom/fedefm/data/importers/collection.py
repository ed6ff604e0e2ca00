"""What every importer gives: classes, frames one after the other, and what is worth a remark."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Integer
from numpy import ndarray

from fedefm.errors import ConfigError


@dataclass(frozen=True)
class Frame:
    """One image of the source with its labels.

    Attributes:
        name: what the source calls it, without folder and extension.
        image: the file; it is read and never changed.
        mask: label map (h, w) of the collection's values, or a mask file whose stored numbers are those values.
        patient: whose image it is, or None where the layout does not say.
        split: `train`, `val` or `test` as the layout says, or None.
    """

    name: str
    image: Path
    mask: Integer[ndarray, "h w"] | Path
    patient: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Collection:
    """A data set in its published layout.

    Attributes:
        classes: mask value to class name, as in `dataset.json`.
        frames: read when they are asked for, once.
        remarks: what was left out or taken for granted, and how often; complete when the frames are.
    """

    classes: Mapping[int, str]
    frames: Iterable[Frame]
    remarks: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Options:
    """What a person may say about a source.

    Attributes:
        part: which part of a set that holds several.
        width: of lines, in pixels of the image.
        classes: mask value or label of the source to the class name that is wanted.
        images: pattern of the image files.
        masks: pattern of the mask files.
        patients: regular expression with a group `patient`, searched in a frame's name.

    Raises:
        ConfigError: one of them makes no sense.
    """

    part: str | None = None
    width: float | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    images: str | None = None
    masks: str | None = None
    patients: str | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not 0 < self.width <= 1000:
            raise ConfigError(f"--width {self.width}: must be above 0 and at most 1000 pixels")
        try:
            known = self.patients is None or "patient" in re.compile(self.patients).groupindex
        except re.error as error:
            raise ConfigError(f"--patients: not a regular expression ({error}); correct it") from error
        if not known:
            raise ConfigError("--patients: needs a group named patient, as in '^(?P<patient>[^_]+)_'")

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that were given."""
        return tuple(name for name, value in vars(self).items() if value is not None and value != {})

    def patient_of(self, name: str) -> str | None:
        """The patient in a frame's name; None where no expression was given.

        Raises:
            ConfigError: the expression does not match.
        """
        if self.patients is None:
            return None
        found = re.search(self.patients, name)
        if found is None or not found["patient"]:
            raise ConfigError(f"--patients: does not match the frame {name!r}; correct the expression")
        return found["patient"]
