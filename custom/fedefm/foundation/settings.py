"""Every setting of a job, in one validated value read from one file.

The file `foundation.json` is part of the job folder: server and hospitals read the same copy. It holds nothing about a
site: data path, device and threads come from the site's own configuration.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fedefm.exchange.method import Method
from fedefm.exchange.methods import method_named
from fedefm.exchange.schedule import Schedule
from fedefm.models.spec import ModelSpec
from fedefm.settings import ClassNames, JsonSettings, PositiveShare, Share, check_id, load, one_of, settings_class
from fedefm.training.optimisation import Optimisation
from fedefm.training.wire import FLOAT32, WIRES

SETTINGS_FILE = "foundation.json"
WEIGHTINGS = ("uniform", "emd", "regional", "constant")


@settings_class
class Distillation:
    """How a silo learns from the experts that came back (Eq. 2, 3, 11).

    Attributes:
        temperature: T of the softened predictions.
        beta: weight of distillation against supervision.
        weighting: `emd` (the paper's score s, one number a teacher), `regional` (from the optimal flow, pixel by
            pixel), `uniform` (1) or `constant`: the last two tell what the weights' spread does from what their size
            does.
        tau: sharpness of the regional weights.
        constant: weight of every teacher under `constant`.
        feature_level: encoder stage whose maps are compared; negative counts from the deepest.
        class_aware: ask a teacher only about the classes that its host labels.
        negatives: trust in a teacher's "none of my classes", from 0 (listen only where it sees one) to 1 (paper). On
            images unlike its host's, an expert misses what is there far more often than it sees what is not.
        static_limit: what a teacher sees at one place in more than this share of a task's frames, flips and turns
            counted, is no device but the image's own frame, such as a collimator's rim, and it says "none of my
            classes" there; 1 believes it everywhere.
        condition_on_labels: correct a teacher by the silo's own labels before the student listens to it.
        paper_exact: the paper to the letter: literal score, scaling the supervised term too, as Eq. 2 may be read;
            overrides class_aware, condition_on_labels, average_experts, negatives, static_limit and weighting.
        differentiate_emd: weight of the Earth Mover's Distance as a loss of its own; 0 leaves it out.
        average_experts: average the returned experts into the student before it is taught.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    temperature: PositiveFloat = 1.0
    beta: Share = 0.15
    weighting: Annotated[str, one_of(WEIGHTINGS)] = "emd"
    tau: PositiveFloat = 0.1
    constant: PositiveFloat = 0.15
    feature_level: int = -1
    class_aware: bool = True
    negatives: Share = 0.0
    static_limit: PositiveShare = 0.25
    condition_on_labels: bool = True
    paper_exact: bool = False
    differentiate_emd: NonNegativeFloat = 0.0
    average_experts: bool = True

    def __post_init__(self) -> None:
        if self.paper_exact:
            for name in ("class_aware", "condition_on_labels", "average_experts"):
                object.__setattr__(self, name, False)
            object.__setattr__(self, "weighting", "emd")
            object.__setattr__(self, "negatives", 1.0)
            object.__setattr__(self, "static_limit", 1.0)


@settings_class
class Baseline:
    """What the compared methods add to their hospitals' local training.

    Attributes:
        proximal: mu of FedProx.
        contrast: mu of MOON.
        contrast_temperature: tau of MOON.
        conditional: greatest weight of ConDistFL's distillation; it rises from 0 over the run.
        conditional_temperature: T of ConDistFL.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    proximal: NonNegativeFloat = 0.01
    contrast: NonNegativeFloat = 1.0
    contrast_temperature: PositiveFloat = 0.5
    conditional: NonNegativeFloat = 1.0
    conditional_temperature: PositiveFloat = 0.5


@settings_class
class Settings(JsonSettings):
    """A whole job.

    Attributes:
        name: of the run.
        classes: foreground class names, in label order; background is always 0.
        start: id of a finished foundation job whose Theta every silo starts from; the server's own configuration says
            where its file lies. Empty starts from the seed's random weights.
        start_sha256: fingerprint that this Theta must have; empty takes any.
        size: side of the square images that the network sees, in pixels.
        topology: `complete`, `ring`, or a graph file beside the settings.
        schedule: rounds, steps and the method.
        model: the network.
        optimisation: how every task steps.
        distillation: how experts teach.
        wire: how weights travel: `float32` as they are, or `float16`, rounded to half precision, both ways.
        stage_timeout: most seconds of silence after which a hospital's tasks are given up; by pace it may be less.
        baseline: what the methods that FedEFM is compared with need to know.
        noise: greatest standard deviation of the noise that a hospital may add to each weight that leaves; the server's
            doubt allows for that much more.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    classes: ClassNames
    name: str = "foundation"
    start: str = ""
    start_sha256: str = ""
    size: Annotated[int, Field(ge=32, multiple_of=32)] = 96
    topology: str = "complete"
    schedule: Schedule = field(default_factory=Schedule)
    model: ModelSpec = field(default_factory=ModelSpec)
    optimisation: Optimisation = field(default_factory=Optimisation)
    distillation: Distillation = field(default_factory=Distillation)
    wire: Annotated[str, one_of(WIRES)] = FLOAT32
    stage_timeout: PositiveInt = 600
    baseline: Baseline = field(default_factory=Baseline)
    noise: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        method_named(self.schedule.method)
        if self.start:
            check_id(self.start)

    @property
    def rules(self) -> Method:
        """What the job's method does."""
        return method_named(self.schedule.method)


def load_settings(path: Path) -> Settings:
    """Read the settings of a job.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    return load(Settings, path)
