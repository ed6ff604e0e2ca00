"""The arithmetic of weights that the exchange needs, on torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from fedefm.exchange.messages import CORRECTION, TRAINING, Assignment, Result
from fedefm.maths.averaging import between, mean_of, sum_of
from fedefm.maths.size import nbytes
from fedefm.models.build import Weights
from fedefm.models.stored import Shelf, StoredWeights
from fedefm.training.doubt import beyond_reach, misfit, schema_of
from fedefm.training.loop import learning_rates
from fedefm.training.optimisation import Optimisation

Start = Callable[[Assignment[Weights], Result[Weights]], Weights]
"""What the training of an assignment started from, as far as its result tells."""


class TensorOps:
    """`exchange.ports.WeightsOps` for state dicts.

    Args:
        reference: weights whose names, shapes and dtypes every other must have.
        optimisation: how tasks step; None where a job trains otherwise, and then no reach is known.
        start: what the training of an assignment started from; goes with `optimisation`.
        noise: greatest standard deviation of noise that a hospital may have added.
        half: weights came home in half precision.
        shelf: takes what is computed; None keeps it in memory.
    """

    def __init__(
        self,
        reference: Mapping[str, Tensor],
        optimisation: Optimisation | None = None,
        start: Start | None = None,
        noise: float = 0.0,
        *,
        half: bool = False,
        shelf: Shelf | None = None,
    ):
        self._shelf = shelf
        self._schema = schema_of(dict(reference))
        self._optimisation, self._start, self._noise, self._half = optimisation, start, noise, half

    def average(self, models: Mapping[str, Weights], weights: Mapping[str, float]) -> Weights:
        """Weighted mean by silo, sorted by name, in float64."""
        return self._put(mean_of(models, weights))

    def interpolate(self, a: Weights, b: Weights, t: float) -> Weights:
        """(1 - t) a + t b."""
        if t == 1 and isinstance(b, StoredWeights):
            return b  # nobody writes into it
        return self._put(between(a, b, t))

    def combine(self, models: Mapping[str, Weights], factors: Mapping[str, float]) -> Weights:
        """Sum of factor times weights, sorted by name, in float64."""
        return self._put(sum_of(models, factors))

    def refusal(self, assignment: Assignment[Weights], result: Result[Weights]) -> str | None:
        """Why a result's weights cannot be accepted, in a few words; None if they can, or if there are none."""
        weights = result.weights
        if weights is None:
            return None
        if reason := misfit(weights, self._schema):
            return reason
        if self._optimisation is None or self._start is None or assignment.task.stage not in TRAINING:
            return None
        rates = learning_rates(assignment.task, self._optimisation)
        correction = assignment.models.get(CORRECTION)
        decay = self._optimisation.weight_decay
        sent = self._start(assignment, result)
        return beyond_reach(sent, weights, rates, decay, correction, self._noise, half=self._half)

    def nbytes(self, weights: Weights) -> int:
        """Bytes of all tensors."""
        return nbytes(weights)

    def _put(self, weights: Weights) -> Weights:
        return dict(weights) if self._shelf is None else self._shelf.put(weights)
