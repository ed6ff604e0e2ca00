"""Hospitals in this process: no network, the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, runtime_checkable

from fedefm.errors import FedefmError
from fedefm.exchange.messages import Assignment, Lost, Result, Task, W


@runtime_checkable
class Worker(Protocol[W]):
    """A hospital at work."""

    def perform(self, assignment: Assignment[W]) -> Result[W]:
        """Do what the task asks."""
        ...


@dataclass(frozen=True)
class InProcessTransport(Generic[W]):
    """Hands every assignment to its hospital, one after another."""

    workers: Mapping[str, Worker[W]]

    def perform(self, assignments: Sequence[Assignment[W]]) -> Iterator[tuple[Task, Result[W] | Lost]]:
        """Work on the assignments in order; a hospital's error is a loss, as it is over a network."""
        for assignment in assignments:
            task = assignment.task
            try:
                yield task, self.workers[task.site].perform(assignment)
            except FedefmError as error:
                yield task, Lost.of(task, f"{type(error).__name__}: {error}")
