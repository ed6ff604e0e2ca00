"""Every setting of an evaluation job, in one validated value read from one file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.models.spec import ModelSpec
from fedefm.settings import build, check_id

SETTINGS_FILE = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation job.

    Attributes:
        classes: foreground class names, in label order; every model must have these.
        models: ids of finished jobs; the server's own configuration says where their weights lie. Each file of a job is
            a model: Theta, every theta_i, or tuned weights.
        name: of the run.
        size: side of the images in pixels, as the models were trained.
        model: the network of all models.
        least_images: figures of fewer images stay at the hospital, which may ask for more but not for less.
        min_sites: fewer hospitals than this end the job.
        seed: of the bootstrap intervals.
        stage_timeout: seconds after which a task that has not come back is given up.

    Raises:
        ConfigError: a value is out of range.
    """

    classes: tuple[str, ...]
    models: tuple[str, ...]
    name: str = "evaluation"
    size: int = 96
    model: ModelSpec = field(default_factory=ModelSpec)
    least_images: int = LEAST_IMAGES
    min_sites: int = 1
    seed: int = 0
    stage_timeout: int = 600

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes) or "background" in self.classes:
            raise ConfigError("classes: name each foreground class once; background is implied")
        if not self.models or len(set(self.models)) != len(self.models):
            raise ConfigError("models: name at least one finished job, each once")
        for name in self.models:
            check_id(name)
        for name in ("size", "least_images", "min_sites", "stage_timeout"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, not {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, plain: Any) -> Evaluation:
        """Build from JSON-able values.

        Raises:
            ConfigError: an unknown key (with the nearest known one), an ill-typed or out-of-range value.
        """
        return build(cls, plain, "settings")


def load_evaluation(path: Path) -> Evaluation:
    """Read the settings of an evaluation job.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    try:
        return Evaluation.from_dict(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
