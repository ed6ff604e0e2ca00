"""Every setting of a job, in one validated value read from one file.

The file `foundation.json` is part of the job folder: server and hospitals read the same copy. It holds nothing about a
site: data path, device and threads come from the site's own configuration.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.exchange.schedule import Schedule
from fedefm.models.spec import ModelSpec

WEIGHTINGS = ("uniform", "emd", "regional", "sharpened", "normalised", "constant")


@dataclass(frozen=True)
class Optimisation:
    """How every training task steps.

    Attributes:
        batch_size: images a gradient step.
        learning_rate: peak rate of AdamW; falls by half a cosine over the run.
        weight_decay: of AdamW.
        warmup_steps: steps over which a fresh optimiser comes up to its rate (a visitor's starts cold).
        augment: strength in [0, 1] of random flips, gain, gamma, blur and noise.
    """

    batch_size: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 3
    augment: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, "batch_size", "learning_rate")
        if self.weight_decay < 0 or self.warmup_steps < 0 or not 0 <= self.augment <= 1:
            raise ConfigError("optimisation: weight_decay and warmup_steps must be >= 0, augment in [0, 1]")


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
        _positive(self, "temperature", "tau", "constant")
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
        _positive(self, "contrast_temperature", "conditional_temperature")
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
        _positive(self, "stage_timeout")

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


_NESTED = {
    "schedule": Schedule,
    "model": ModelSpec,
    "optimisation": Optimisation,
    "distillation": Distillation,
    "baseline": Baseline,
}

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: _is_finite(value),
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "tuple[str, ...]": lambda value: isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value),
    "Mapping[str, Any]": lambda value: isinstance(value, Mapping),
}


def build(cls: Any, plain: Any, where: str) -> Any:
    """Build a settings class from JSON-able values.

    Raises:
        ConfigError: an unknown key (with the nearest known one), or an ill-typed value.
    """
    if not isinstance(plain, Mapping):
        raise ConfigError(f"{where}: must be an object with named values")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in plain:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise ConfigError(f"{where}: '{key}' is unknown" + (f"; did you mean '{near[0]}'?" if near else ""))
    try:
        return cls(**{key: _value(cls, key, value, str(fields[key].type), where) for key, value in plain.items()})
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(cls: Any, key: str, value: Any, kind: str, where: str) -> Any:
    """Check a JSON value against the field's annotation, so that a string never lands where a number belongs."""
    if key in _NESTED and kind == _NESTED[key].__name__:
        return build(_NESTED[key], value, key)
    if not _KINDS[kind](value):
        raise ConfigError(f"{where}: {key} must be of type {kind}, not {value!r:.60}")
    return tuple(value) if kind.startswith("tuple") else float(value) if kind == "float" else value


def _is_finite(value: Any) -> bool:
    """Whether a number fits a float: a comparison that NaN, infinity and larger integers fail."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _positive(value: Any, *names: str) -> None:
    for name in names:
        if not getattr(value, name) > 0:
            raise ConfigError(f"{name} must be above 0, not {getattr(value, name)}")
