"""What crosses between server and hospitals: small frozen values, validated when made.

Weights ride beside a message and are opaque here (`W`): this package knows neither torch nor FLARE. The checks are
written by hand: a message comes from a peer that may be hostile, so nothing in it is converted, each bound is exact,
and what is refused depends on no version of a library.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from fedefm.errors import ProtocolError, visible

W = TypeVar("W")
STUDENT = "student"
THETA = "theta"
START = "start"
PREVIOUS = "previous"
CORRECTION = "correction"
RESERVED = (STUDENT, THETA, START, PREVIOUS, CORRECTION)
MAX_REASON = 400
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}")


class Stage(StrEnum):
    """The steps of a run, in the paper's order; prepare, lone and evaluate frame the rounds.

    Assess follows distil where silos can be compared: hosts hold a silo's weights against their own labels. Tune and
    validate are the rounds of a fine-tune job, measure is all of an evaluation job. A data report begins with describe;
    offer, match and common are the three steps in which two hospitals count the pictures that both have.
    """

    PREPARE = "prepare"
    LOCAL = "local"
    OVERSEAS = "overseas"
    DISTIL = "distil"
    ASSESS = "assess"
    AGGREGATE = "aggregate"
    LONE = "lone"
    EVALUATE = "evaluate"
    TUNE = "tune"
    VALIDATE = "validate"
    MEASURE = "measure"
    DESCRIBE = "describe"
    OFFER = "offer"
    MATCH = "match"
    COMMON = "common"


TRAVELS = (Stage.OVERSEAS, Stage.ASSESS)
"""Where a hospital works on another silo's weights."""

BETWEEN = (*TRAVELS, Stage.OFFER, Stage.MATCH, Stage.COMMON)
"""Where a task names a second hospital as its visitor: whose weights came, or with whom pictures are compared."""

TRAINING = (Stage.LOCAL, Stage.OVERSEAS, Stage.DISTIL)
"""The stages of a round that train: they return weights, and their learning rate follows the run."""


@dataclass(frozen=True)
class Task:
    """One piece of work for one hospital.

    Attributes:
        stage: what to do.
        round: communication round k, from 0.
        site: the hospital that does the work (the host j of an overseas stage).
        visitor: the silo i whose weights are worked on, or the hospital with which pictures are compared; `site` itself
            in all other stages.
        steps: gradient steps.
        progress: where in the run this work begins and ends, in [0, 1]: the learning rate follows it.
        seed: seeds every random choice of the work.
        teachers: in a distil stage, for each returned expert its host's label corpus.
        reputation: in a distil stage, for a teacher's host the share in [0, 1] of its weight; 1 where none stands.

    Raises:
        ProtocolError: a field is out of its range.
    """

    stage: Stage
    round: int
    site: str
    visitor: str
    steps: int = 0
    progress: tuple[float, float] = (0.0, 1.0)
    seed: int = 0
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reputation: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.site, self.visitor, *self.teachers, *self.reputation):
            if not _NAME.fullmatch(name):
                raise ProtocolError(f"task: '{name[:40]!r}' is not a site name; use letters, digits, '-', '_', '.'")
        if not all(0 <= number < 2**63 for number in (self.round, self.steps, self.seed)):
            raise ProtocolError("task: round, steps and seed must lie in [0, 2^63)")
        if not 0.0 <= self.progress[0] <= self.progress[1] <= 1.0:
            raise ProtocolError(f"task {self.id}: progress {self.progress} must rise within [0, 1]")
        if (self.visitor != self.site) != (self.stage in BETWEEN):
            raise ProtocolError(f"task {self.id}: only {', '.join(BETWEEN)} are work between two hospitals")
        if not all(0.0 <= share <= 1.0 for share in self.reputation.values()):
            raise ProtocolError(f"task {self.id}: a reputation lies outside [0, 1]")

    @property
    def id(self) -> str:
        """Names this piece of work; the result must carry the same."""
        return f"{self.round}/{self.stage.value}/{self.visitor}@{self.site}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for the wire."""
        plain = asdict(self)
        return plain | {
            "stage": self.stage.value,
            "progress": list(self.progress),
            "teachers": {host: list(corpus) for host, corpus in self.teachers.items()},
        }

    @classmethod
    def from_dict(cls, plain: Any) -> Task:
        """Rebuild what `to_dict` gave; every byte is hostile until validated.

        Raises:
            ProtocolError: missing, unknown or ill-typed fields.
        """
        try:
            if set(plain) != set(cls.__dataclass_fields__):
                raise ProtocolError("task: fields missing or unknown; both ends need the same fedefm version")
            start, end = plain["progress"]
            return cls(
                stage=Stage(_text(plain["stage"])),
                round=_integer(plain["round"]),
                site=_text(plain["site"]),
                visitor=_text(plain["visitor"]),
                steps=_integer(plain["steps"]),
                progress=(_number(start), _number(end)),
                seed=_integer(plain["seed"]),
                teachers={_text(host): _texts(corpus) for host, corpus in plain["teachers"].items()},
                reputation={_text(host): _number(share) for host, share in plain["reputation"].items()},
            )
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise ProtocolError(f"task: cannot be read ({type(error).__name__})") from error


@dataclass(frozen=True)
class Assignment(Generic[W]):
    """A task and the weights that it needs.

    Attributes:
        task: the work.
        models: `student`; one entry a teacher under its host's name; in some baselines `previous` (the hospital's
            weights of its last round) or `correction` (the difference of control variates).
        brings: of a task that brings other tensors back than the student's, most bytes of each by its name.
    """

    task: Task
    models: Mapping[str, W]
    brings: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Result(Generic[W]):
    """What a hospital returns: the trained weights where the stage has any, and its figures.

    Attributes:
        task_id: `Task.id` of the work done.
        weights: the trained weights, None where the stage returns none.
        report: JSON-able figures: losses, Dice, EMD similarities, label corpus. Never an image, path or identifier.
        images: how many images the work drew from.
    """

    task_id: str
    weights: W | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0


class Loss(StrEnum):
    """What a loss costs and means: the hospital failed, was waited for in vain, or belongs to the job no more."""

    FAILED = "failed"
    SILENT = "silent"
    DIED = "died"
    STOPPED = "stopped"
    REMOVED = "removed"


@dataclass(frozen=True)
class Lost:
    """Work that did not come back: the site that failed or was late, and what is missing for it.

    The reason may repeat a peer's text: here it becomes one short line of visible characters.
    """

    site: str
    round: int
    stage: Stage
    reason: str
    visitor: str | None = None
    kind: Loss = Loss.FAILED

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", visible(self.reason)[:MAX_REASON])

    @classmethod
    def of(cls, task: Task, reason: str, kind: Loss = Loss.FAILED) -> Lost:
        """The loss of `task`."""
        visitor = task.visitor if task.visitor != task.site else None
        return cls(task.site, task.round, task.stage, reason, visitor, kind)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for the report; the kind is for those who run the job."""
        plain = asdict(self) | {"stage": self.stage.value}
        del plain["kind"]
        return plain


Check = Callable[[Mapping[str, Any]], object]
"""Raises `ProtocolError` where a report is not what its stage must bring."""


def any_report(report: Mapping[str, Any]) -> None:
    """The check of a stage whose report may hold anything."""


def seeded_task(job_seed: int, stage: Stage, round_: int, site: str, visitor: str | None = None, **fields: Any) -> Task:
    """A task with its own seed; `visitor` is the site itself where none is named, `fields` are the other fields."""
    visitor = visitor or site
    return Task(stage, round_, site, visitor, seed=task_seed(job_seed, stage, round_, site, visitor), **fields)


def task_seed(job_seed: int, stage: Stage, round_: int, site: str, visitor: str) -> int:
    """Seed of one task: a hash of the job's seed and the task's place, so the order of arrival changes nothing."""
    text = "\x1f".join(("fedefm", str(job_seed), stage.value, str(round_), site, visitor))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"task: a {type(value).__name__} stands where a whole number belongs")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"task: a {type(value).__name__} stands where a number belongs")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ProtocolError(f"task: a {type(value).__name__} stands where a text belongs")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ProtocolError(f"task: a {type(value).__name__} stands where a list belongs")
    return tuple(_text(item) for item in value)
