"""The arithmetic of weights for a foundation job, which knows what each task's training can reach."""

from __future__ import annotations

from fedefm.foundation.settings import Settings
from fedefm.foundation.start import start_of
from fedefm.models.build import Weights
from fedefm.training.ops import TensorOps


def doubting_ops(settings: Settings, reference: Weights) -> TensorOps:
    """`TensorOps` that refuses weights which the job's steps could not make of what was sent.

    Args:
        settings: the job.
        reference: weights whose names, shapes and dtypes all must have.
    """
    return TensorOps(
        reference,
        settings.optimisation,
        lambda assignment: start_of(assignment.task, assignment.models, settings.distillation),
        settings.noise,
    )
