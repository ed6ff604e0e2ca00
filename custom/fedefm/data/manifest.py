"""A hospital's `dataset.json`: what its mask values mean, what it annotates, and whose images are whose."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedefm.data.folder import list_masks
from fedefm.data.proposed import KEY as PROPOSED
from fedefm.data.proposed import Proposed, read_proposed
from fedefm.data.readers import count_values, read_mask
from fedefm.errors import DataError
from fedefm.files import write_whole

FILE_NAME = "dataset.json"
BACKGROUND = "background"
IGNORE = "ignore"
"""Of pixels, or whole frames, that nobody looked at: they are neither a class nor background."""
SPLIT_NAMES = ("train", "val", "test")
MAX_VALUE = 65535
_KEYS = frozenset(
    {"name", "classes", "annotated", "test_annotated", "patients", "splits", "synthetic", "unlabelled", "origin"}
    | {PROPOSED}
)
_MAX_INFERRED_VALUES = 9  # more values than this is a grey picture, not a label map


@dataclass(frozen=True)
class Manifest:
    """What a hospital states about its folder.

    Attributes:
        name: the hospital's name, for the hospital itself.
        classes: mask value to class name, background first (value 0 unless stated otherwise), the rest by value;
            `catheter|guidewire` is a union: a pixel of one of the two, nobody said of which; `ignore` is of pixels that
            nobody looked at.
        annotated: class names that this hospital's training masks really annotate, its label corpus;
            empty means every class but background.
        test_annotated: the same for the test masks; empty means `annotated`.
        patients: regular expression with a group `patient`, searched in a file's stem; or patient to stems, where any
            other stem is a patient of its own; None for the stem itself.
        splits: `train`, `val`, `test` to patient names; None for a split by hash of the patient name.
        synthetic: whether the images are generated; every report on them then says so.
        unlabelled: whether the images in `unlabelled/`, which have no masks, take part: they are taught, and nothing
            else.
        proposed: of each mask that a model proposed where it comes from, by the stem of its image; its patient is told
            there, and `patients` is not asked.

    Raises:
        DataError: for any statement that contradicts another.
    """

    name: str
    classes: Mapping[int, str]
    annotated: tuple[str, ...] = ()
    test_annotated: tuple[str, ...] = ()
    patients: str | Mapping[str, tuple[str, ...]] | None = None
    splits: Mapping[str, tuple[str, ...]] | None = None
    synthetic: bool = False
    unlabelled: bool = False
    proposed: Mapping[str, Proposed] = field(default_factory=dict)
    _pattern: "re.Pattern[str] | None" = field(init=False, repr=False, compare=False, default=None)
    _listed: Mapping[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, "classes", _checked_classes(self.classes))
        _set(self, "annotated", _checked_corpus("annotated", self.annotated or self.foreground, self.foreground))
        test = self.test_annotated or self.annotated
        _set(self, "test_annotated", _checked_corpus("test_annotated", test, self.foreground))
        _check_unions(self)
        _set(self, "_pattern", _checked_pattern(self.patients) if isinstance(self.patients, str) else None)
        _set(self, "_listed", {} if isinstance(self.patients, str) else _checked_list(self.patients or {}))
        _set(self, "splits", _checked_splits(self.splits))

    @property
    def foreground(self) -> tuple[str, ...]:
        """Every class, in the order of the mask values; those of a union one by one."""
        parts = [part for name in self.classes.values() for part in parts_of(name)]
        return tuple(dict.fromkeys(part for part in parts if part not in (BACKGROUND, IGNORE)))

    @property
    def ignored(self) -> int | None:
        """The position among the mask values that stands for what nobody looked at."""
        names = list(self.classes.values())
        return names.index(IGNORE) if IGNORE in names else None

    def patient_of(self, stem: str) -> str:
        """The patient of a file.

        Args:
            stem: the file's name without folder and extension.

        Raises:
            DataError: where `patients` does not match the stem.
        """
        if stem in self.proposed:
            return self.proposed[stem].patient
        if self._pattern is None:
            if stem in self._listed:
                return self._listed[stem]
            # Image_01L and Image_01R are two eyes of one person: never one in train and one in test.
            return re.sub(r"(?<=\d)[LR]$", "", stem)
        found = self._pattern.search(stem)
        if found is None or not found["patient"]:
            raise DataError(f"{FILE_NAME}: patients does not match the file {stem!r}; correct the expression")
        return found["patient"]


def load_manifest(folder: Path) -> Manifest:
    """Read `dataset.json` of a hospital's folder, or infer it where there is none.

    Raises:
        DataError: where the file is not valid JSON, has an unknown field, or contradicts itself.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        return infer_manifest(folder)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{FILE_NAME} of {Path(folder).name}: not valid JSON ({_one_line(error)})") from error
    try:
        return _from_json(fields, default_name=Path(folder).resolve().name)
    except DataError as error:
        raise DataError(f"{Path(folder).name}: {error}") from error


def infer_manifest(folder: Path) -> Manifest:
    """Make a manifest from the values found in the masks.

    A value that nobody explained must not be taken to mean what another hospital's value means, so each class is
    named after the folder: `arcade`, or `arcade-1`, `arcade-2` where there are several values.

    Raises:
        DataError: where the masks hold too many values to be labels (JPEG, anti-aliased edges) or nothing but 0.
    """
    name = _class_name(Path(folder).resolve().name)
    found: set[int] = set()
    first: DataError | None = None
    for path in list_masks(Path(folder)).values():
        try:
            found.update(count_values(read_mask(path)))
        except DataError as error:
            first = first or error
            continue  # counted, and refused above the cap, when the folder is loaded
        if len(found) > _MAX_INFERRED_VALUES:
            raise DataError(
                f"{path.name}: masks hold more than {_MAX_INFERRED_VALUES} values, as JPEG or smoothed edges do; "
                f"save masks as PNG with one value a class, or name every value in {FILE_NAME}"
            )
    values = sorted(found - {0})
    if not values and first is not None:
        raise first
    if not values:
        raise DataError(f"{name}: the masks hold no value but 0; annotate the images or state classes in {FILE_NAME}")
    names = [name] if len(values) == 1 else [f"{name}-{k}" for k in range(1, len(values) + 1)]
    warnings.warn(
        f"{name}: no {FILE_NAME}, so mask values {values} became classes {names}, shared with no other site; "
        f'to share a class, write {FILE_NAME} with "classes": {{"0": "background", "{values[0]}": "<its name>"}}',
        UserWarning,
        stacklevel=2,
    )
    return Manifest(name, {0: BACKGROUND, **dict(zip(values, names, strict=True))})


def write_manifest(manifest: Manifest, folder: Path, origin: Mapping[str, Any] | None = None) -> Path:
    """Write `dataset.json` into a folder and return its path; `origin` is free text about where the images are from."""
    fields: dict[str, Any] = {
        "name": manifest.name,
        "classes": {str(value): name for value, name in manifest.classes.items()},
        "annotated": list(manifest.annotated),
        "test_annotated": list(manifest.test_annotated),
    }
    if isinstance(manifest.patients, str):
        fields["patients"] = manifest.patients
    elif manifest.patients is not None:
        fields["patients"] = {patient: list(stems) for patient, stems in manifest.patients.items()}
    if manifest.splits is not None:
        fields["splits"] = {split: list(names) for split, names in manifest.splits.items()}
    if manifest.synthetic:
        fields["synthetic"] = True
    if manifest.unlabelled:
        fields["unlabelled"] = True
    if manifest.proposed:
        fields[PROPOSED] = {stem: one.to_json() for stem, one in manifest.proposed.items()}
    if origin is not None:
        fields["origin"] = dict(origin)
    path = Path(folder) / FILE_NAME
    write_whole(path, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")
    return path


def parts_of(class_name: str) -> tuple[str, ...]:
    """The classes of a union such as `catheter|guidewire`; of any other name it is the only one."""
    return tuple(class_name.split("|"))


def canonical(class_name: str) -> str:
    """A class name without what people write differently: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_-]+", "", class_name).casefold()


def _from_json(fields: Any, default_name: str) -> Manifest:
    if not isinstance(fields, dict):
        raise DataError(f"{FILE_NAME}: must hold one object in braces")
    if "labels" in fields and "classes" not in fields:
        raise DataError(f"{FILE_NAME}: this is nnU-Net's; make a silo of it with fedefm data import nnunet SRC DST")
    if unknown := sorted(set(fields) - _KEYS):
        raise DataError(f"{FILE_NAME}: unknown field {unknown[0]!r}; the fields are {', '.join(sorted(_KEYS))}")
    classes = fields.get("classes")
    if not isinstance(classes, dict):
        raise DataError(f'{FILE_NAME}: classes is missing; write "classes": {{"0": "background", "1": "catheter"}}')
    splits = fields.get("splits")
    if splits is not None and not isinstance(splits, dict):
        raise DataError(f'{FILE_NAME}: splits must map "train", "val" and "test" to lists of patients')
    return Manifest(
        name=_text("name", fields.get("name", default_name)),
        classes={_mask_value(value): name for value, name in classes.items()},
        annotated=_names("annotated", fields),
        test_annotated=_names("test_annotated", fields),
        patients=_patients(fields.get("patients")),
        splits=None if splits is None else {split: _names(split, splits) for split in splits},
        synthetic=_flag("synthetic", fields.get("synthetic", False)),
        unlabelled=_flag("unlabelled", fields.get("unlabelled", False)),
        proposed=_proposed(fields.get(PROPOSED, {})),
    )


def _proposed(value: Any) -> dict[str, Proposed]:
    try:
        return read_proposed(value)
    except DataError as error:
        raise DataError(f"{FILE_NAME}: {error}") from error


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{FILE_NAME}: {field} must be true or false")
    return value


def _mask_value(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MAX_VALUE:
        raise DataError(f"{FILE_NAME}: the mask value {text!r} of classes is not a whole number from 0 to {MAX_VALUE}")
    return int(text)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{FILE_NAME}: {key} must be a text")
    return value


def _patients(value: Any) -> str | dict[str, tuple[str, ...]] | None:
    """An expression, or the files of each patient."""
    if isinstance(value, dict):
        return {patient: _names(patient, value) for patient in value}
    return None if value is None else _text("patients", value)


def _names(key: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """A list of names; an absent one is empty, which asks for the default."""
    if key not in fields or fields[key] is None:
        return ()
    names = fields[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{FILE_NAME}: {key} must be a list of texts")
    if not names and key in ("annotated", "test_annotated"):
        raise DataError(f"{FILE_NAME}: {key} is empty; list at least one class or leave the field out")
    return tuple(names)


def _checked_classes(classes: Mapping[int, str]) -> Mapping[int, str]:
    found = dict(sorted(classes.items()))
    for value, name in found.items():
        if not 0 <= value <= MAX_VALUE:
            raise DataError(f"{FILE_NAME}: the mask value {value} of classes is not from 0 to {MAX_VALUE}")
        if not isinstance(name, str) or not name.isprintable() or not all(_is_plain(p) for p in parts_of(name)):
            raise DataError(f"{FILE_NAME}: the class of mask value {value} needs a plain name, not {name!r}")
    if BACKGROUND not in found.values():
        if 0 in found:
            raise DataError(f'{FILE_NAME}: no class is named "{BACKGROUND}"; give that name to the value outside it')
        found = {0: BACKGROUND, **found}
    seen: dict[str, str] = {}
    whole = list(found.values())
    for name in [part for one in whole for part in parts_of(one)] + whole:
        if (twin := seen.setdefault(canonical(name), name)) != name or whole.count(name) > 1:
            raise DataError(f"{FILE_NAME}: classes {twin!r} and {name!r} are the same name; give each its own")
    if not set(found.values()) - {BACKGROUND, IGNORE}:
        raise DataError(f"{FILE_NAME}: classes names nothing but {BACKGROUND}; name what the masks annotate")
    return dict(sorted(found.items(), key=lambda item: item[1] != BACKGROUND))


def _is_plain(part: str) -> bool:
    return bool(part) and part == part.strip()


def _check_unions(manifest: Manifest) -> None:
    """A union has two classes or more, no background, and both corpora annotate all of it or nothing."""
    for union in (name for name in manifest.classes.values() if "|" in name):
        parts = set(parts_of(union))
        if parts & {BACKGROUND, IGNORE} or len(parts) < 2:
            raise DataError(
                f"{FILE_NAME}: the union {union!r} needs two classes or more, none of them {BACKGROUND} or {IGNORE}"
            )
        for key, corpus in (("annotated", manifest.annotated), ("test_annotated", manifest.test_annotated)):
            if parts & set(corpus) and parts - set(corpus):
                raise DataError(
                    f"{FILE_NAME}: {key} has a part of the union {union!r}; list all of its classes or none"
                )


def _checked_corpus(key: str, names: Sequence[str], foreground: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in foreground:
            raise DataError(f"{FILE_NAME}: {key} lists {name!r}, which classes does not; it has {list(foreground)}")
    if len(set(names)) < len(names):
        raise DataError(f"{FILE_NAME}: {key} lists a class twice")
    return tuple(names)


def _checked_list(patients: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The patient of each file that is listed."""
    owner: dict[str, str] = {}
    for patient, stems in patients.items():
        for stem in stems:
            if owner.setdefault(stem, patient) != patient:
                raise DataError(
                    f"{FILE_NAME}: patients lists {stem!r} for {owner[stem]!r} and for {patient!r}; keep one"
                )
    return owner


def _checked_pattern(patients: str) -> "re.Pattern[str]":
    try:
        pattern = re.compile(patients)
    except re.error as error:
        raise DataError(f"{FILE_NAME}: patients is not a regular expression ({_one_line(error)})") from error
    if "patient" not in pattern.groupindex:
        raise DataError(f"{FILE_NAME}: patients needs a group named patient, as in ^(?P<patient>[^_]+)_")
    return pattern


def _checked_splits(splits: Mapping[str, Sequence[str]] | None) -> Mapping[str, tuple[str, ...]] | None:
    if splits is None:
        return None
    if unknown := sorted(set(splits) - set(SPLIT_NAMES)):
        raise DataError(f"{FILE_NAME}: splits has {unknown[0]!r}; its fields are {', '.join(SPLIT_NAMES)}")
    owner: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if owner.setdefault(name, split) != split:
                raise DataError(f"{FILE_NAME}: patient {name!r} is in {owner[name]} and in {split}; keep one")
    return {split: tuple(splits.get(split, ())) for split in SPLIT_NAMES}


def _class_name(folder_name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", folder_name).strip("-") or "site"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _set(manifest: Manifest, key: str, value: object) -> None:
    object.__setattr__(manifest, key, value)
