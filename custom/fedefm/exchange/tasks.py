"""The tasks of a run's rounds: who works on whose weights, and for how many gradient steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedefm.exchange.messages import TRAINING, Stage, Task, seeded_task
from fedefm.exchange.method import Method
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import Topology


def hosted_steps(plan: Schedule, topology: Topology, site: str, round_: int) -> int:
    """Gradient steps that `fedefm` computes at `site` in a round: what any method may spend there."""
    visits = len(topology.visitors(site)) * plan.overseas_steps
    return (plan.local_steps if round_ == 0 else 0) + visits + plan.distil_steps


def total_steps(plan: Schedule, topology: Topology, site: str) -> int:
    """Gradient steps at `site` over the whole run."""
    return sum(hosted_steps(plan, topology, site, k) for k in range(plan.rounds))


@dataclass(frozen=True)
class Tasks:
    """Makes the tasks of a run.

    Attributes:
        plan: the job's numbers.
        rules: the job's method.
        topology: who visits whom.
    """

    plan: Schedule
    rules: Method
    topology: Topology

    def task(self, stage: Stage, round_: int, site: str, visitor: str | None = None, **fields: Any) -> Task:
        """A task with its own seed; one that trains knows its part of the run, which the learning rate follows."""
        rounds = self.rules.rounds_of(self.plan)
        progress = (round_ / rounds, (round_ + 1) / rounds) if stage in TRAINING else (0.0, 1.0)
        return seeded_task(self.plan.seed, stage, round_, site, visitor, progress=progress, **fields)

    def local(self, sites: Sequence[str], round_: int) -> list[Task]:
        """Hospitals train on their own data: new silos where experts are exchanged, else everyone."""
        return [self.task(Stage.LOCAL, round_, site, steps=self._local_steps(site, round_)) for site in sites]

    def overseas(self, visitors: Sequence[str], hosts: Sequence[str], round_: int) -> list[Task]:
        """One task a (visitor, host) pair among those that are present (Eq. 1)."""
        return [
            self.task(Stage.OVERSEAS, round_, host, visitor, steps=self.plan.overseas_steps)
            for visitor in visitors
            for host in self.topology.neighbours(visitor)
            if host in hosts
        ]

    def distil(
        self, site: str, round_: int, teachers: Mapping[str, tuple[str, ...]], reputation: Mapping[str, float]
    ) -> Task:
        """A silo learns at home from its teachers (Eq. 2, 11).

        Args:
            site: the silo.
            round_: of the run.
            teachers: label corpus of each teacher's host.
            reputation: share of its weight that each of these hosts keeps.
        """
        known = {host: reputation[host] for host in sorted(teachers)}
        corpora = dict(sorted(teachers.items()))
        steps = self._distil_steps(site)
        return self.task(Stage.DISTIL, round_, site, steps=steps, teachers=corpora, reputation=known)

    def assess(self, pairs: Sequence[tuple[str, str]], round_: int) -> list[Task]:
        """One task a (silo, host) pair: the host compares the silo's weights with its own labels."""
        return [self.task(Stage.ASSESS, round_, host, silo) for silo, host in pairs]

    def lone(self, sites: Sequence[str]) -> list[Task]:
        """A model of the hospital's own at equal gradient steps, for comparison; it stays at home."""
        return [self.task(Stage.LONE, 0, site, steps=total_steps(self.plan, self.topology, site)) for site in sites]

    def _local_steps(self, site: str, round_: int) -> int:
        if self.rules.exchanges:
            return self.plan.local_steps
        if self.rules.once:
            return total_steps(self.plan, self.topology, site)
        return hosted_steps(self.plan, self.topology, site, round_)

    def _distil_steps(self, site: str) -> int:
        """Steps of one distillation; who sends no expert abroad takes the steps of the visits at home."""
        visits = 0 if self.rules.travels else len(self.topology.visitors(site))
        return self.plan.distil_steps + visits * self.plan.overseas_steps
