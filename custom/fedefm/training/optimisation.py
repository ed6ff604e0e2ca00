"""The optimiser of every training task: batch size, learning rate, augmentation."""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fedefm.settings import Share, settings_class


@settings_class
class Optimisation:
    """How every training task steps.

    Attributes:
        batch_size: images in one gradient step.
        learning_rate: peak rate of AdamW; falls by half a cosine over the run.
        weight_decay: of AdamW.
        warmup_steps: steps over which a fresh optimiser comes up to its rate (a visitor's starts cold).
        augment: strength in [0, 1] of random flips, gain, gamma, blur and noise.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    batch_size: PositiveInt = 4
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-4
    warmup_steps: NonNegativeInt = 3
    augment: Share = 1.0
