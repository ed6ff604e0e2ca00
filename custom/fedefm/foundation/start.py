"""What the training of a task starts from: the same plain function at the hospital and at the server that doubts it."""

from __future__ import annotations

from collections.abc import Mapping

from fedefm.exchange.messages import STUDENT, Stage, Task
from fedefm.exchange.reputation import Found, believed
from fedefm.foundation.settings import Distillation
from fedefm.maths.averaging import mean_of
from fedefm.models.build import Weights


def shares_of(task: Task, found: Found, limit: float) -> dict[str, float]:
    """What each teacher of a distil task keeps of its weight, by what the hospital found of all models that came.

    Args:
        task: a distil task.
        found: agreement of each model with the hospital's labels, by class and model.
        limit: `Schedule.reputation_limit`.
    """
    shares = believed(found, {STUDENT: (), **task.teachers}, limit)
    return {host: shares[host] for host in sorted(task.teachers)}


def start_of(
    task: Task, models: Mapping[str, Weights], distillation: Distillation, shares: Mapping[str, float]
) -> Weights:
    """The student's weights; where experts are averaged in, its mean with them, each by the share that it keeps.

    Args:
        task: a training task.
        models: that came with it.
        distillation: the job's.
        shares: what each teacher keeps at this hospital (`shares_of`); 1 where none stands.

    Returns:
        Weights whose tensors are computed when they are asked for, where it is a mean.
    """
    if task.stage is not Stage.DISTIL or not task.teachers or not distillation.average_experts:
        return models[STUDENT]
    kept = {host: task.reputation.get(host, 1.0) * shares.get(host, 1.0) for host in task.teachers}
    return mean_of(models, {STUDENT: 1.0, **kept})
