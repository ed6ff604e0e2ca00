"""One hospital at work, whatever the job: it checks a task, seeds torch, and calls the function of the task's stage."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fedefm.errors import ConfigError, ProtocolError
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.metrics.suppression import rounded
from fedefm.models.build import Weights
from fedefm.training.wire import FLOAT32

OnStep = Callable[[Task, int, float], None]
ShouldStop = Callable[[], bool]
Work = Callable[[Task, Mapping[str, Weights], ShouldStop], tuple[Weights | None, dict[str, Any]]]
"""The function of a stage: from a task and the weights that came with it to trained weights, if any, and figures."""


class Site(ABC):
    """One hospital at work. A result depends only on the assignment and on the hospital's own images.

    Each job has its own subclass, whose `stages` name a function for each stage.

    Args:
        name: the site.
        device: torch device, such as `cpu`, `cuda` or `cuda:1`.
        threads: of torch; with another number the last bit of a result may differ.
        on_step: is told every gradient step.
        least: fewest images that the hospital trains on, and that a figure which leaves may rest on; 1 holds nothing
            back.
    """

    def __init__(
        self,
        name: str,
        *,
        device: str = "cpu",
        threads: int = 1,
        on_step: OnStep = lambda task, step, loss: None,
        least: int = 1,
    ):
        self.name, self.least = name, least
        self._device, self._threads, self._on_step = torch.device(device), threads, on_step

    @property
    @abstractmethod
    def stages(self) -> Mapping[Stage, Work]:
        """What the hospital does in each stage of its job."""

    @property
    @abstractmethod
    def images(self) -> int:
        """Number of images that the hospital's work draws from."""

    @property
    def wire(self) -> str:
        """How weights travel in the job: `float32`, or `float16` where its settings say so."""
        return FLOAT32

    @property
    def noise(self) -> float:
        """Greatest standard deviation of noise on weights that the job takes; no limit where it knows no reach."""
        return math.inf

    def tell_steps(self, on_step: OnStep) -> None:
        """Have every gradient step from now on told to `on_step`."""
        self._on_step = on_step

    def perform(self, assignment: Assignment[Weights], should_stop: ShouldStop = lambda: False) -> Result[Weights]:
        """Do what the task asks.

        Raises:
            FedefmError: the data, the task or the weights that came with it cannot be used.
        """
        task = assignment.task
        if task.site != self.name:
            raise ProtocolError(f"task {task.id} is for '{task.site}', this is '{self.name}'")
        if task.stage not in self.stages:
            raise ProtocolError(f"task {task.id}: a hospital has nothing to do in this stage of this job")
        torch.set_num_threads(self._threads)
        torch.manual_seed(task.seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        weights, report = self.stages[task.stage](task, assignment.models, should_stop)
        return Result(task.id, weights, _leaving(report), images=self.images)

    def check_enough(self, images: int) -> None:
        """Abstain from a job that trains where there are too few images for what comes of it to be told.

        Raises:
            ConfigError: fewer than the hospital's own least.
        """
        if images < self.least:
            raise ConfigError(
                f"{self.name}: {images} training image(s), and weights of fewer than {self.least} do not leave; add "
                "images, or lower 'least_images' in local/fedefm_site.json if the hospital accepts that"
            )


EXACT = ("rate_sum",)  # follows from the task alone and says nothing of images; SCAFFOLD divides by it


def _leaving(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as it leaves: figures of images rounded."""
    return {key: value if key in EXACT else rounded(value) for key, value in report.items()}
