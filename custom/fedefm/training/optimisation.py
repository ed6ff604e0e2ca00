"""The optimiser of every training task: batch size, learning rate, augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from fedefm.errors import ConfigError
from fedefm.settings import check_positive


@dataclass(frozen=True)
class Optimisation:
    """How every training task steps.

    Attributes:
        batch_size: images in one gradient step.
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
        check_positive(self, "batch_size", "learning_rate")
        if self.weight_decay < 0 or self.warmup_steps < 0 or not 0 <= self.augment <= 1:
            raise ConfigError("optimisation: weight_decay and warmup_steps must be >= 0, augment in [0, 1]")
