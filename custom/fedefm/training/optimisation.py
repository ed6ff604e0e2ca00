"""The optimiser of every training task: batch size, learning rate, augmentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fedefm.models.precision import FLOAT32, PRECISIONS
from fedefm.settings import Share, one_of, settings_class
from fedefm.training.augment import ANY, ORIENTATIONS


@settings_class
class Optimisation:
    """How every training task steps.

    Attributes:
        batch_size: images that are in memory at once.
        accumulate: batches whose gradients are averaged in one gradient step.
        learning_rate: peak rate of AdamW; falls by half a cosine over the run.
        weight_decay: of AdamW.
        warmup_steps: steps over which a fresh optimiser comes up to its rate (a visitor's starts cold).
        augment: strength in [0, 1] of random flips, gain, gamma, blur and noise.
        orientation: `any` turns images by quarters too; `upright` mirrors them and turns, scales and moves them a
            little, for images in which up and down mean something (a catheter comes from above).
        precision: `float32`, or `bfloat16` within the network, where the hospitals' machines are faster with it.
        channels_last: keep the channels of a pixel side by side, which is faster on GPUs and with some CPUs.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    batch_size: PositiveInt = 4
    accumulate: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-4
    warmup_steps: NonNegativeInt = 3
    augment: Share = 1.0
    orientation: Annotated[str, one_of(ORIENTATIONS)] = ANY
    precision: Annotated[str, one_of(PRECISIONS)] = FLOAT32
    channels_last: bool = False

    @property
    def images(self) -> int:
        """Images in one gradient step."""
        return self.batch_size * self.accumulate
