"""Every setting of a job, in one validated value read from one file.

The file `foundation.json` is part of the job folder: server and hospitals read the same copy. It holds nothing about a
site: data path, device and threads come from the site's own configuration.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.exchange.method import Method
from fedefm.exchange.methods import method_named
from fedefm.exchange.schedule import Schedule
from fedefm.models.spec import ModelSpec
from fedefm.settings import build, check_positive
from fedefm.training.optimisation import Optimisation

SETTINGS_FILE = "foundation.json"
WEIGHTINGS = ("uniform", "emd", "regional", "sharpened", "normalised", "constant")


@dataclass(frozen=True)
class Distillation:
    """How a silo learns from the experts that came back (Eq. 2, 3, 11).

    Attributes:
        temperature: T of the softened predictions.
        beta: weight of distillation against supervision.
        weighting: `emd` (the paper's score s, one number a teacher), `regional` (from the optimal flow, pixel by
            pixel), `sharpened` (exp(-(1 - s) / tau)), `normalised` (the same over its mean over the teachers),
            `uniform` (1) or `constant`: the last two tell what the weights' spread does from what their size does.
        tau: sharpness of the regional, sharpened and normalised weights.
        constant: weight of every teacher under `constant`.
        feature_level: encoder stage whose maps are compared; negative counts from the deepest.
        even_nodes: all nodes of a map count alike, in place of DeepEMD's cross-references.
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
    """

    temperature: float = 1.0
    beta: float = 0.15
    weighting: str = "emd"
    tau: float = 0.1
    constant: float = 0.15
    feature_level: int = -1
    even_nodes: bool = False
    class_aware: bool = True
    negatives: float = 0.0
    static_limit: float = 0.25
    condition_on_labels: bool = True
    paper_exact: bool = False
    differentiate_emd: float = 0.0
    average_experts: bool = True

    def __post_init__(self) -> None:
        check_positive(self, "temperature", "tau", "constant")
        if not 0 <= self.beta <= 1:
            raise ConfigError(f"distillation: beta must lie in [0, 1], not {self.beta}")
        if not 0 <= self.negatives <= 1:
            raise ConfigError(f"distillation: negatives must lie in [0, 1], not {self.negatives}")
        if not 0 < self.static_limit <= 1:
            raise ConfigError(f"distillation: static_limit must lie above 0 and not above 1, not {self.static_limit}")
        if self.weighting not in WEIGHTINGS:
            raise ConfigError(f"distillation: weighting '{self.weighting}' is none of {', '.join(WEIGHTINGS)}")
        if self.differentiate_emd < 0:
            raise ConfigError("distillation: differentiate_emd must not be negative")
        if self.paper_exact:
            for name in ("class_aware", "condition_on_labels", "average_experts"):
                object.__setattr__(self, name, False)
            object.__setattr__(self, "weighting", "emd")
            object.__setattr__(self, "negatives", 1.0)
            object.__setattr__(self, "static_limit", 1.0)


@dataclass(frozen=True)
class Baseline:
    """What the compared methods add to their hospitals' local training.

    Attributes:
        proximal: mu of FedProx.
        contrast: mu of MOON.
        contrast_temperature: tau of MOON.
        conditional: greatest weight of ConDistFL's distillation; it rises from 0 over the run.
        conditional_temperature: T of ConDistFL.
    """

    proximal: float = 0.01
    contrast: float = 1.0
    contrast_temperature: float = 0.5
    conditional: float = 1.0
    conditional_temperature: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self, "contrast_temperature", "conditional_temperature")
        for name in ("proximal", "contrast", "conditional"):
            if getattr(self, name) < 0:
                raise ConfigError(f"baseline: {name} must not be negative, not {getattr(self, name)}")


@dataclass(frozen=True)
class Settings:
    """A whole job.

    Attributes:
        name: of the run.
        classes: foreground class names, in label order; background is always 0.
        size: side of the square images that the network sees, in pixels.
        topology: `complete`, `ring`, or a graph file beside the settings.
        schedule: rounds, steps and the method.
        model: the network.
        optimisation: how every task steps.
        distillation: how experts teach.
        stage_timeout: seconds after which a task that has not come back is given up.
        baseline: what the methods that FedEFM is compared with need to know.
    """

    classes: tuple[str, ...]
    name: str = "foundation"
    size: int = 96
    topology: str = "complete"
    schedule: Schedule = field(default_factory=Schedule)
    model: ModelSpec = field(default_factory=ModelSpec)
    optimisation: Optimisation = field(default_factory=Optimisation)
    distillation: Distillation = field(default_factory=Distillation)
    stage_timeout: int = 600
    baseline: Baseline = field(default_factory=Baseline)

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes) or "background" in self.classes:
            raise ConfigError("classes: name each foreground class once; background is implied")
        if self.size < 32 or self.size % 32:
            raise ConfigError(f"size must be a multiple of 32, not {self.size}")
        check_positive(self, "stage_timeout")
        method_named(self.schedule.method)

    @property
    def rules(self) -> Method:
        """What the job's method does."""
        return method_named(self.schedule.method)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, plain: Any) -> Settings:
        """Build from JSON-able values.

        Raises:
            ConfigError: an unknown key (with the nearest known one), an ill-typed or out-of-range value.
        """
        return build(cls, plain, "settings")


def load_settings(path: Path) -> Settings:
    """Read the settings of a job.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    try:
        plain = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON ({error})") from error
    try:
        return Settings.from_dict(plain)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
