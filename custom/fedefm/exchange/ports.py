"""What the exchange needs from outside, as protocols: how work travels, and how one reckons with weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from fedefm.exchange.messages import Assignment, Lost, Result, Task, W
from fedefm.exchange.traffic import Moved


@runtime_checkable
class Transport(Protocol[W]):
    """Carries assignments to hospitals and brings back what they return."""

    def perform(self, assignments: Sequence[Assignment[W]]) -> Iterable[tuple[Task, Result[W] | Lost]]:
        """Work on all assignments, in parallel where it can, and yield each outcome as it arrives, each task once."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A transport that says what it moved; any other is taken to move all weights of tasks and results."""

    @property
    def moved(self) -> Moved | None:
        """Bytes so far; None where nobody counts."""
        ...


@runtime_checkable
class Wire(Protocol[W]):
    """What becomes of weights on their way."""

    def digest(self, weights: W) -> str:
        """Names weights by what arrives of them."""
        ...

    def nbytes(self, weights: W) -> int:
        """Bytes on the wire."""
        ...

    def carried(self, weights: W) -> W:
        """The weights as they arrive, such as with values of half precision."""
        ...


@runtime_checkable
class WeightsOps(Protocol[W]):
    """The arithmetic of weights, which this package does not know."""

    def average(self, models: Mapping[str, W], weights: Mapping[str, float]) -> W:
        """Weighted mean by silo; the order of the mapping must not change a bit."""
        ...

    def interpolate(self, a: W, b: W, t: float) -> W:
        """(1 - t) a + t b."""
        ...

    def combine(self, models: Mapping[str, W], factors: Mapping[str, float]) -> W:
        """Sum of factor times weights; the order of the mapping must not change a bit."""
        ...

    def refusal(self, assignment: Assignment[W], result: Result[W]) -> str | None:
        """Why the weights that came back for an assignment cannot be accepted; None if they can.

        They may be no weights of this network (NaN, a wrong shape), or none that the assignment's steps could make.
        """
        ...

    def nbytes(self, weights: W) -> int:
        """Size on the wire."""
        ...
