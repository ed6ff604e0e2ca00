"""Every setting of a fine-tune job, in one validated value read from one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fedefm.errors import ConfigError
from fedefm.metrics.table import IMAGES, Over, of_finetune
from fedefm.models.spec import ModelSpec
from fedefm.settings import ClassNames, JsonSettings, PositiveShare, check_id, load, one_of, settings_class
from fedefm.training.optimisation import Optimisation

SEGMENTATION, CLASSIFICATION = "segmentation", "classification"
MODES = ("full", "head", "lora")
OVER = {SEGMENTATION: (*IMAGES, Over.POOLED, Over.LOSS), CLASSIFICATION: (Over.STATED, Over.LOSS)}
LAST = "last"
SETTINGS_FILE = "finetune.json"


@settings_class
class FineTune(JsonSettings):
    """A fine-tune job.

    Attributes:
        classes: foreground class names, in label order; those that Theta knows keep their weights.
        name: of the run.
        theta: id of a finished foundation job; the server's own configuration says where its file lies.
        theta_sha256: fingerprint that Theta must have; empty takes any.
        size: side of the images in pixels, as Theta was trained.
        model: Theta's network.
        task: `segmentation`, or `classification` of what is present in an image.
        mode: `full`, `head` (all else is frozen) or `lora` (low-rank changes, and the head).
        federated: average the hospitals' weights after each round; else each tunes alone and returns figures only.
        steps: gradient steps at each hospital, in all.
        rounds: checks on the validation images and, when federated, averages.
        labels: share of a hospital's labelled training patients to use, above 0.
        metric: of the validation images; chooses the best weights. `last` takes the last ones.
        patience: rounds without a better metric after which to stop; 0 never stops early.
        encoder_rate: share of the learning rate that the encoder gets.
        decoder_rate: likewise.
        head_rate: likewise.
        rank: of the low-rank changes.
        alpha: their scale is alpha / rank (Hu et al., LoRA, ICLR 2022).
        min_sites: fewer hospitals than this end the job.
        seed: the job's seed.
        optimisation: how a gradient step is taken.
        stage_timeout: most seconds of silence after which a hospital's tasks are given up; by pace it may be less.

    Raises:
        ConfigError: a value is ill-typed or out of range, or the metric is one that this task never reports.
    """

    classes: ClassNames
    name: str = "finetune"
    theta: str = ""
    theta_sha256: str = ""
    size: PositiveInt = 96
    model: ModelSpec = field(default_factory=ModelSpec)
    task: Annotated[str, one_of(tuple(OVER))] = SEGMENTATION
    mode: Annotated[str, one_of(MODES)] = "full"
    federated: bool = True
    steps: PositiveInt = 200
    rounds: PositiveInt = 4
    labels: PositiveShare = 1.0
    metric: str = "dice"
    patience: NonNegativeInt = 0
    encoder_rate: NonNegativeFloat = 0.25
    decoder_rate: NonNegativeFloat = 0.5
    head_rate: PositiveFloat = 1.0
    rank: PositiveInt = 8
    alpha: PositiveFloat = 8.0
    min_sites: PositiveInt = 1
    seed: NonNegativeInt = 0
    optimisation: Optimisation = field(default_factory=Optimisation)
    stage_timeout: PositiveInt = 600

    def __post_init__(self) -> None:
        if self.theta:
            check_id(self.theta)
        if self.rounds > self.steps:
            raise ConfigError(f"rounds: {self.rounds} rounds need at least as many steps, not {self.steps}")
        check_metric(self.metric, self.task, self.classes)

    def steps_of(self, round_: int) -> int:
        """Gradient steps of a round; together they are `steps`."""
        return self.steps * (round_ + 1) // self.rounds - self.steps * round_ // self.rounds


def check_metric(metric: str, task: str, classes: Sequence[str]) -> None:
    """Refuse a metric that no hospital could ever report.

    Raises:
        ConfigError: names those that there are.
    """
    name, slash, label = metric.partition("/")
    rows = {row.name: row.over for row in of_finetune(OVER[task])}
    known = name in rows and (not slash or (label in classes and rows[name] is not Over.LOSS))
    if metric != LAST and not known:
        one = next(iter(rows))
        raise ConfigError(
            f"metric '{metric[:80]}' is never reported in {task}; choose one of {', '.join(rows)}, "
            f"one of a class such as {one}/{classes[0]}, or {LAST}"
        )


def load_finetune(path: Path) -> FineTune:
    """Read the settings of a fine-tune job.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    return load(FineTune, path)
