"""Every setting of an evaluation job, in one validated value read from one file."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.models.spec import ModelSpec
from fedefm.settings import ClassNames, JobId, JsonSettings, Sha256, load, settings_class

SETTINGS_FILE = "evaluation.json"


def _check_models(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("must name at least one finished job, each once")
    return names


@settings_class
class Evaluation(JsonSettings):
    """An evaluation job.

    Attributes:
        classes: foreground class names, in label order; every model must have these.
        models: ids of finished jobs; the server's own configuration says where their weights lie. Each file of a job is
            a model: Theta, every theta_i, or tuned weights.
        name: of the run.
        size: side of the images in pixels, as the models were trained.
        model: the network of all models.
        least_images: figures of fewer images stay at the hospital, which may ask for more but not for less.
        leave_out_proposed_by: fingerprints of weights; an image whose mask one of them proposed is not counted, for any
            model, so that all are measured on the same images. Empty counts every image.
        min_sites: fewer hospitals than this end the job.
        seed: of the bootstrap intervals.
        stage_timeout: most seconds of silence after which a hospital's tasks are given up; by pace it may be less.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    classes: ClassNames
    models: Annotated[tuple[JobId, ...], AfterValidator(_check_models)]
    name: str = "evaluation"
    size: PositiveInt = 96
    model: ModelSpec = field(default_factory=ModelSpec)
    least_images: PositiveInt = LEAST_IMAGES
    leave_out_proposed_by: tuple[Sha256, ...] = ()
    min_sites: PositiveInt = 1
    seed: NonNegativeInt = 0
    stage_timeout: PositiveInt = 600


def load_evaluation(path: Path) -> Evaluation:
    """Read the settings of an evaluation job.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    return load(Evaluation, path)
