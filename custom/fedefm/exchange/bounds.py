"""What a hospital may say, stage by stage: the one place where its figures are bounded.

A report is hostile until it has been read here. `read_report` builds a new one, field by field: each has a type and a
range, each name is one that the job knows, and a field that no line below names is refused. So whoever records, prints
or sums what came through need not look again. What is refused is named by its place; of a peer's text an error repeats
a few characters of printable ASCII at most.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import START, Stage, Task

Range = tuple[float, float]
"""Least and greatest value of a figure."""

SHARE: Range = (0.0, 1.0)
COSINE: Range = (-1.001, 1.001)
"""A mean of cosines in float32, whose rounding may leave [-1, 1]."""

MAX_NUMBER = 1e6
"""Losses lie around 1 and distances below the side of an image; sums of as many as a report holds stay exact."""

MAX_COUNT = 10**7
"""Images of one hospital: more than any archive of fluoroscopy holds."""

MAX_VALUES, MAX_DEPTH, MAX_TEXT = 20_000, 6, 200
SHOWN = 40

POOLED: Mapping[str, Range] = {"dice": SHARE, "iou": SHARE}
"""The figures of a class that a foundation job tells."""

SPLITS = ("train", "val", "test")
TUNED = "tuned"
"""The model of a fine-tune job, beside the one that it starts from."""

AUTHORS = ("jaccard_with_background", "jaccard_without_background", "dice_over_channels")


@dataclass(frozen=True)
class Asked:
    """What a report answers.

    Attributes:
        task: the work.
        models: names of the weights that came with it.
        classes: of the job.
        metrics: figures of a class, and the range of each.
    """

    task: Task
    models: Collection[str]
    classes: Sequence[str]
    metrics: Mapping[str, Range]


class Part(ABC):
    """A part of a report."""

    @abstractmethod
    def read(self, value: Any, asked: Asked, place: str) -> Any:
        """A plain copy of the value.

        Raises:
            ProtocolError: it is none that may stand at this place.
        """

    def fields(self) -> Iterator[str]:
        """Places inside, as the page for a hospital's IT lists them; a leaf has one without a name."""
        yield ""


@dataclass(frozen=True)
class Number(Part):
    """A number in a range, or None: unknown, held back, or (NaN, infinity) none that JSON can hold.

    Attributes:
        range: its least and its greatest value.
        known: whether None is refused too.
    """

    range: Range = (-MAX_NUMBER, MAX_NUMBER)
    known: bool = False

    def read(self, value: Any, asked: Asked, place: str) -> int | float | None:
        """The number, as it came."""
        if not self.known and (value is None or (type(value) is float and not math.isfinite(value))):
            return None
        low, high = self.range
        if type(value) not in (int, float) or not low <= value <= high:
            raise _refuse(place, f"is no number in [{low:g}, {high:g}]")
        return value


@dataclass(frozen=True)
class Count(Part):
    """A whole number of images, or None where the hospital holds it back."""

    most: int = MAX_COUNT

    def read(self, value: Any, asked: Asked, place: str) -> int | None:
        """The count."""
        if value is not None and not is_count(value, self.most):
            raise _refuse(place, f"is no whole number in [0, {self.most}]")
        return value


@dataclass(frozen=True)
class Flag(Part):
    """Yes or no."""

    def read(self, value: Any, asked: Asked, place: str) -> bool:
        """The flag."""
        if type(value) is not bool:
            raise _refuse(place, "is neither true nor false")
        return value


@dataclass(frozen=True)
class Names(Part):
    """A list of names that the job knows, each once, at least `least` of them."""

    known: Callable[[Asked], Collection[str]]
    least: int = 0

    def read(self, value: Any, asked: Asked, place: str) -> list[str]:
        """The names, in the order in which they came."""
        known = self.known(asked)
        if not isinstance(value, (list, tuple)) or not self.least <= len(value) <= len(known):
            raise _refuse(place, f"is no list of {self.least} to {len(known)} names")
        for name in value:
            _check_name(name, known, place)
        if len(set(value)) != len(value):
            raise _refuse(place, "names one twice")
        return list(value)


@dataclass(frozen=True)
class Group(Part):
    """Named fields: these and no others. `more` are those that may be missing."""

    needed: Mapping[str, Part]
    more: Mapping[str, Part]

    def read(self, value: Any, asked: Asked, place: str) -> dict[str, Any]:
        """The fields, each read."""
        fields = {**self.needed, **self.more}
        found = _object(value, fields, place)
        missing = [name for name in self.needed if name not in found]
        if missing:
            raise _refuse(place, f"lacks '{missing[0]}'; both ends need the same fedefm version")
        return {name: fields[name].read(inner, asked, f"{place}.{name}") for name, inner in found.items()}

    def fields(self) -> Iterator[str]:
        """Each field's own, behind its name."""
        for name, part in {**self.needed, **self.more}.items():
            yield from (_joined(name, inner) for inner in part.fields())


@dataclass(frozen=True)
class Each(Part):
    """One and the same part for each of some names that the job knows.

    Attributes:
        title: what the names are, for a reader.
        known: the names.
        part: of one name.
        whole: whether none may be missing.
    """

    title: str
    known: Callable[[Asked], Collection[str]]
    part: Callable[[Asked, str], Part]
    whole: bool = False

    def read(self, value: Any, asked: Asked, place: str) -> dict[str, Any]:
        """The parts by name."""
        known = self.known(asked)
        found = _object(value, known, place)
        if self.whole and len(found) != len(known):
            raise _refuse(place, f"names {len(found)} of {len(known)}")
        return {name: self.part(asked, name).read(inner, asked, f"{place}.{name}") for name, inner in found.items()}

    def fields(self) -> Iterator[str]:
        """The part's own, behind the title."""
        yield from (_joined(self.title, inner) for inner in self.part(_NOBODY, "").fields())


@dataclass(frozen=True)
class Many(Part):
    """A list of one and the same part."""

    part: Part
    most: int

    def read(self, value: Any, asked: Asked, place: str) -> list[Any]:
        """The parts in order."""
        if not isinstance(value, (list, tuple)) or len(value) > self.most:
            raise _refuse(place, f"is no list of at most {self.most}")
        return [self.part.read(inner, asked, f"{place}.{k}") for k, inner in enumerate(value)]

    def fields(self) -> Iterator[str]:
        """The part's own."""
        return self.part.fields()


def group(**needed: Part) -> Group:
    """Fields that must all be there."""
    return Group(needed, {})


def _classes(asked: Asked) -> Collection[str]:
    return asked.classes


def _models(asked: Asked) -> Collection[str]:
    return asked.models


def _teachers(asked: Asked) -> Collection[str]:
    return asked.task.teachers


def _metrics(asked: Asked) -> Collection[str]:
    return asked.metrics


def _validated(asked: Asked) -> list[str]:
    """`loss`, and each metric over all classes and of one: `dice`, `dice/CLASS`."""
    of_classes = [f"{name}/{label}" for name in asked.metrics for label in asked.classes]
    return ["loss", *asked.metrics, *of_classes]


def _metric(asked: Asked, name: str) -> Number:
    return Number(asked.metrics.get(name.partition("/")[0], Number().range))


def _scores(asked: Asked, name: str) -> Part:
    """The figures of one class: those of the job, and how many images hold the class."""
    return _Scores(Each("METRIC", _metrics, _metric, whole=True), Count())


@dataclass(frozen=True)
class _Scores(Part):
    """Figures by name, with `support` beside them."""

    figures: Each
    support: Count

    def read(self, value: Any, asked: Asked, place: str) -> dict[str, Any]:
        found = dict(_object(value, (*asked.metrics, "support"), place))
        if "support" not in found:
            raise _refuse(place, "lacks 'support'")
        support = self.support.read(found.pop("support"), asked, f"{place}.support")
        return {**self.figures.read(found, asked, place), "support": support}

    def fields(self) -> Iterator[str]:
        yield from self.figures.fields()
        yield "support"


def _figure(limits: Range) -> Group:
    """A mean over images with its interval, and how many images it rests on."""
    return group(mean=Number(limits), low=Number(limits), high=Number(limits), support=Count())


@dataclass(frozen=True)
class _Measured(Part):
    """All figures of one class in an evaluation job."""

    def read(self, value: Any, asked: Asked, place: str) -> dict[str, Any]:
        return _measured(asked.metrics).read(value, asked, place)

    def fields(self) -> Iterator[str]:
        return _measured({"METRIC": SHARE}).fields()


def _measured(metrics: Mapping[str, Range]) -> Group:
    return Group({name: _figure(limits) for name, limits in metrics.items()} | {"support": Count()}, {})


_BY_CLASS = Each("CLASS", _classes, _scores)
_VALIDATED = Each("METRIC", _validated, _metric)
_TRAINED: dict[str, Part] = {"loss": Number(), "val_dice": Number(SHARE)}
_AGREEMENT = Number(SHARE, known=True)
_OWN = Group(_TRAINED, {"rate_sum": Number((0.0, MAX_NUMBER))})

_IMAGES = group(**dict.fromkeys(SPLITS, Count()))
_SIDE, _KINDS = Count(2**16), 8
FORMATS = ("PNG", "JPEG", "TIFF", "NIFTI", "bitmap", "NPY", "NRRD", "MetaImage", "DICOM")
"""The formats of images (`data/readers.py`), by which a hospital may count its files."""

_SUMMARY = group(
    least=Count(),
    corpus=Names(_classes),
    test_corpus=Names(_classes),
    synthetic=Flag(),
    trains=Flag(),
    frames=_IMAGES,
    patients=Count(),
    cines=Count(),
    unreadable=Count(),
    formats=Each("FORMAT", lambda _: FORMATS, lambda *_: Count()),
    sizes=Many(group(columns=_SIDE, rows=_SIDE, files=Count()), most=_KINDS),
    bits=Many(group(bits=Count(64), files=Count()), most=_KINDS),
    grey=group(dark=Number(SHARE), middle=Number(SHARE), bright=Number(SHARE)),
    spacing_mm=group(median=Number((0.0, 1000.0)), files=Count()),
    classes=Each(
        "CLASS", _classes, lambda *_: Group({**_IMAGES.needed, "undecided": Count(), "share": Number(SHARE)}, {})
    ),
    others=Count(2**16),
    respelled=Count(2**16),
)
"""What a hospital tells of its folder (`report/permitted.py`), of the classes that the job knows."""

REPORTS: Mapping[Stage, Group] = {
    Stage.PREPARE: Group(
        {"corpus": Names(_classes, least=1), "images": Group({}, dict.fromkeys(SPLITS, Count()))},
        {"quarantined": Count(), "metrics": Names(_validated), "synthetic": Flag(), "left_out": Count()},
    ),
    Stage.LOCAL: _OWN,
    Stage.OVERSEAS: _OWN,
    Stage.DISTIL: Group(
        _TRAINED,
        {
            "emd_similarity": Each("HOSPITAL", _teachers, lambda asked, name: Number(COSINE)),
            "agreement": Each("CLASS", _classes, lambda *_: Each("MODEL", _models, lambda *_: _AGREEMENT)),
            "shares": Each("HOSPITAL", _teachers, lambda asked, name: Number(SHARE)),
            "dropped": Names(_teachers),
        },
    ),
    Stage.ASSESS: group(agreement=Each("CLASS", _classes, lambda *_: _AGREEMENT)),
    Stage.LONE: group(scores=_BY_CLASS),
    Stage.EVALUATE: group(scores=Each("MODEL", _models, lambda asked, name: _BY_CLASS, whole=True)),
    Stage.TUNE: Group(
        {"loss": Number()},
        {
            "history": Many(group(round=Count(), loss=Number(), metrics=_VALIDATED), most=MAX_VALUES),
            "best": group(round=Count(), value=Number()),
            "scores": Each("MODEL", lambda asked: (START, TUNED), lambda asked, name: _BY_CLASS, whole=True),
        },
    ),
    Stage.VALIDATE: group(metrics=_VALIDATED),
    Stage.MEASURE: group(
        scores=group(
            by_class=Each("CLASS", _classes, lambda asked, name: _Measured()),
            all=group(
                miou=_figure(SHARE),
                ece=group(mean=Number(SHARE), support=Count()),
                as_in_authors_code=Group({**dict.fromkeys(AUTHORS, Number(SHARE)), "support": Count()}, {}),
                support=Count(),
            ),
        )
    ),
    Stage.DESCRIBE: group(summary=_SUMMARY),
    Stage.OFFER: group(compared=Flag()),
    Stage.MATCH: group(compared=Flag()),
    Stage.COMMON: group(compared=Flag(), common=Count()),
}
"""What each stage's report holds. A stage that is not here has a check of its own, or its reports are refused."""


def read_report(report: Any, asked: Asked) -> dict[str, Any]:
    """A plain copy of what a hospital reports of a task.

    NaN and infinity become None, as JSON has neither.

    Raises:
        ProtocolError: a field is missing, unknown, ill-typed or out of its range; one line that says which.
    """
    return REPORTS[asked.task.stage].read(report, asked, f"{asked.task.stage} report")


def fields_of(stage: Stage) -> list[str]:
    """Every field of a stage's reports, names of the job in capitals: `scores.MODEL.CLASS.support`."""
    return list(REPORTS[stage].fields())


def is_count(value: Any, most: int = MAX_COUNT) -> bool:
    """Whether a value is a whole number of images."""
    return type(value) is int and 0 <= value <= most


def plain_copy(value: Any) -> Any:
    """Copy a JSON-able value of bounded size; tuples become lists, numbers that JSON cannot hold become None.

    Raises:
        ProtocolError: another kind of value, too deep, too many values, too large a number or too long a text.
    """
    left = [MAX_VALUES]

    def copy(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > MAX_DEPTH:
            raise ProtocolError(f"report: more than {MAX_VALUES} values or {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            return {_text(key): copy(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [copy(inner, depth + 1) for inner in value]
        return _leaf(value)

    return copy(value, 0)


def shown(value: Any) -> str:
    """A peer's value in an error: a few characters of printable ASCII, whatever it is."""
    return ascii(value)[:SHOWN] if isinstance(value, str) else f"a {type(value).__name__[:SHOWN]}"


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (int, float):
        if type(value) is float and not math.isfinite(value):
            return None
        if abs(value) > MAX_COUNT:
            raise ProtocolError(f"report: holds a number beyond {MAX_COUNT}")
        return value
    return _text(value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT or not value.isprintable():
        raise ProtocolError(f"report: holds {shown(value)[:SHOWN]}, which is no short text, number or list")
    return value


def _object(value: Any, known: Collection[str], place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(place, "is no object with named values")
    for name in value:
        _check_name(name, known, place)
    return value


def _check_name(name: Any, known: Collection[str], place: str) -> None:
    if type(name) is not str or name not in known:
        raise _refuse(place, f"names {shown(name)}, which nobody asked for")


def _refuse(place: str, why: str) -> ProtocolError:
    return ProtocolError(f"{place} {why}")


def _joined(name: str, inner: str) -> str:
    return f"{name}.{inner}" if inner else name


_NOBODY = Asked(Task(Stage.PREPARE, 0, "nobody", "nobody"), (), (), {})
