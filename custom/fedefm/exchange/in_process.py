"""Hospitals in this process: no network, the same words, and the bytes that a network would move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, runtime_checkable

from fedefm.errors import FedefmError
from fedefm.exchange.messages import Assignment, Lost, Result, Task, W
from fedefm.exchange.ports import Wire
from fedefm.exchange.traffic import Moved, Traffic


@runtime_checkable
class Worker(Protocol[W]):
    """A hospital at work."""

    def perform(self, assignment: Assignment[W]) -> Result[W]:
        """Do what the task asks."""
        ...


@dataclass(frozen=True)
class InProcessTransport(Generic[W]):
    """Hands every assignment to its hospital, one after another.

    Attributes:
        workers: the hospitals by name.
        wire: what a network would make of weights; without one they go as they are, and nothing is counted.
    """

    workers: Mapping[str, Worker[W]]
    wire: Wire[W] | None = None
    _traffic: Traffic[W] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        traffic = None if self.wire is None else Traffic(self.wire.digest, self.wire.nbytes)
        if traffic is not None:
            for site in self.workers:
                traffic.told(site, ())  # it keeps all that it sees
        object.__setattr__(self, "_traffic", traffic)

    @property
    def moved(self) -> Moved | None:
        """Bytes that a network would have moved so far; None where nobody counts."""
        return self._traffic.moved if self._traffic else None

    def perform(self, assignments: Sequence[Assignment[W]]) -> Iterator[tuple[Task, Result[W] | Lost]]:
        """Work on the assignments in order; a hospital's error is a loss, as it is over a network."""
        if self._traffic is not None:
            for assignment in assignments:
                self._traffic.pack(assignment.task.site, assignment.models)
        for assignment in assignments:
            task = assignment.task
            try:
                yield task, self._returned(task, self.workers[task.site].perform(self._sent(assignment)))
            except FedefmError as error:
                yield task, Lost.of(task, f"{type(error).__name__}: {error}")

    def _sent(self, assignment: Assignment[W]) -> Assignment[W]:
        """The assignment as its hospital gets it."""
        if self.wire is None:
            return assignment
        return replace(assignment, models={name: self.wire.carried(w) for name, w in assignment.models.items()})

    def _returned(self, task: Task, result: Result[W]) -> Result[W]:
        """The result as the server gets it."""
        if self.wire is None or self._traffic is None or result.weights is None:
            return result
        home = self.wire.carried(result.weights)
        self._traffic.came(task.site, home)
        return replace(result, weights=home)
