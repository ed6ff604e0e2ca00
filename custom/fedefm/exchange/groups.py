"""Who takes turns with whom: silos in one row, or in groups that work at the same time.

With one row a round waits for as many turns as there are silos. Groups of silos that take turns among themselves while
the groups work side by side are the superclients of Zaccone et al., Speeding up Heterogeneous Federated Learning with
Sequentially Trained Superclients, 2022. They too build them so that each sees as many classes as it can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest

from fedefm.exchange.messages import Stage, task_seed
from fedefm.exchange.schedule import PARALLEL, Schedule

Corpora = Mapping[str, tuple[str, ...]]


def rows(
    plan: Schedule, silos: Collection[str], corpora: Corpora, present: Collection[str], round_: int
) -> list[tuple[str, ...]]:
    """The groups of a round, each in the order of its turns; each round another silo of a group begins.

    Args:
        plan: the job's order, number of groups and seed.
        silos: of the job.
        corpora: label corpus of each silo that has prepared.
        present: silos that still answer.
        round_: of the run.
    """
    if plan.order == PARALLEL:
        return [(silo,) for silo in sorted(silos)]
    if plan.groups == 1:
        return [_turned(sorted(silos), round_)] if silos else []
    groups = deal(plan.groups, silos, corpora, present, seed=plan.seed, round_=round_)
    return [_turned(group, round_) for group in groups]


def deal(
    groups: int, silos: Collection[str], corpora: Corpora, present: Collection[str], *, seed: int, round_: int
) -> list[tuple[str, ...]]:
    """Silos in groups, as even as can be and each with as many corpora as can be; new ones in every round.

    Silos are sorted by label corpus, those of one corpus by a hash of seed, round and name, those that are gone last;
    then they are dealt out like cards. So m silos of one corpus are in min(m, groups) groups.

    Returns:
        Groups of silos sorted by name, the groups by their first silo; fewer than asked for where silos are fewer.
    """

    def place(silo: str) -> tuple[bool, tuple[str, ...], int]:
        return silo not in present, corpora.get(silo, ()), task_seed(seed, Stage.AGGREGATE, round_, silo, silo)

    dealt = sorted(silos, key=place)
    return sorted(tuple(sorted(dealt[first::groups])) for first in range(min(groups, len(dealt))))


def turns(groups: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The silos that work at the same time: the first of every group, then the second of each that has one ..."""
    return [tuple(silo for silo in turn if silo is not None) for turn in zip_longest(*groups)]


def _turned(group: Sequence[str], round_: int) -> tuple[str, ...]:
    first = round_ % len(group)
    return (*group[first:], *group[:first])
