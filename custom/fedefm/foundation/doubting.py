"""The arithmetic of weights for a foundation job, which knows what each task's training can reach."""

from __future__ import annotations

from fedefm.exchange.messages import Assignment, Result
from fedefm.exchange.reputation import found_of
from fedefm.foundation.settings import Settings
from fedefm.foundation.start import shares_of, start_of
from fedefm.models.build import Weights
from fedefm.models.stored import Shelf
from fedefm.training.ops import TensorOps
from fedefm.training.wire import FLOAT16, TensorWire


def doubting_ops(settings: Settings, reference: Weights, shelf: Shelf | None = None) -> TensorOps:
    """`TensorOps` that refuses weights which the job's steps could not make of what was sent, as it arrived.

    Args:
        settings: the job.
        reference: weights whose names, shapes and dtypes all must have.
        shelf: takes what is computed; None keeps it in memory.
    """
    wire = TensorWire(settings.wire)

    def start(assignment: Assignment[Weights], result: Result[Weights]) -> Weights:
        """By what the hospital says that it found: a lie there moves its own start alone, among weights it was sent."""
        task, models = assignment.task, {name: wire.carried(w) for name, w in assignment.models.items()}
        found = found_of(result.report, settings.classes, models)
        shares = shares_of(task, found, settings.schedule.reputation_limit)
        return start_of(task, models, settings.distillation, shares)

    half = settings.wire == FLOAT16
    return TensorOps(reference, settings.optimisation, start, settings.noise, half=half, shelf=shelf)
