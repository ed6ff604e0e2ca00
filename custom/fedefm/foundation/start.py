"""What the training of a task starts from: the same plain function at the hospital and at the server that doubts it."""

from __future__ import annotations

from collections.abc import Mapping

from fedefm.exchange.messages import STUDENT, Stage, Task
from fedefm.foundation.settings import Distillation
from fedefm.maths.averaging import weighted_mean
from fedefm.models.build import Weights


def start_of(task: Task, models: Mapping[str, Weights], distillation: Distillation) -> Weights:
    """The student's weights; where experts are averaged in, its mean with them, each by its host's reputation."""
    if task.stage is not Stage.DISTIL or not task.teachers or not distillation.average_experts:
        return models[STUDENT]
    return weighted_mean(models, {name: task.reputation.get(name, 1.0) for name in models})
