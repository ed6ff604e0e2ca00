"""How much a silo's weights count, by what its neighbours' labels say of them.

A host holds a silo's weights against its own labels of the classes that both annotate. Hosts differ in how hard their
images are, so a silo is compared with the other silos at the same host and class, never with a fixed figure. Of a
class that a silo does not annotate nothing is asked: early in a run an honest silo forgets in its turn nearly all that
it does not label. This is client-side cross-validation (Zhao et al., Shielding Collaborative Learning, 2020), by an
Earth Mover's Distance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import median, median_high
from typing import Any

from fedefm.exchange.topology import Topology

Agreement = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By host, class and silo."""

Found = Mapping[str, Mapping[str, float]]
"""What one host has found: by class and silo."""

Corpora = Mapping[str, Sequence[str]]

BLIND = 0.05
"""Where no other silo agrees with a host more than this, nobody sees the class there yet, and nobody is compared."""


def comparable(topology: Topology, corpora: Corpora, silo: str, host: str) -> tuple[str, ...]:
    """Classes of which `host` can tell how `silo` does beside another visitor: all three annotate them; sorted.

    With two annotators each would be judged by the other alone, and one host takes nothing from a silo.
    """
    others = [other for other in topology.visitors(host) if other != silo]
    shared = set(corpora.get(host, ())) & set(corpora.get(silo, ()))
    return tuple(sorted(name for name in shared if any(name in corpora.get(other, ()) for other in others)))


def reputation(agreement: Agreement, corpora: Corpora, silo: str, limit: float) -> float:
    """Share in [0, 1] of its weight that a silo keeps: 1 until it has been compared.

    At every host and class its agreement is divided by the best peer's. A host has one vote, the median over its
    classes, so that no class that looks otherwise at the silo decides. Of the votes the upper median counts: a silo
    falls only where more than half of its hosts say so, and two at least. So one host that lies takes nothing from an
    honest silo, nor do two of four; two of three can.

    Args:
        agreement: what the hosts have found.
        corpora: of every silo.
        silo: whose reputation is asked for.
        limit: see `share`.
    """
    votes = [vote for classes in agreement.values() if (vote := _vote(classes, corpora, silo)) is not None]
    return share(median_high(votes), limit) if len(votes) > 1 else 1.0


def believed(found: Found, corpora: Corpora, limit: float) -> dict[str, float]:
    """Share in [0, 1] of its weight that each model keeps at the one hospital that has compared them all.

    Args:
        found: by class and model.
        corpora: of every model: the classes of which it should know.
        limit: see `share`.
    """
    votes = {name: _vote(found, corpora, name) for name in sorted(corpora)}
    return {name: 1.0 if vote is None else share(vote, limit) for name, vote in votes.items()}


def share(ratio: float, limit: float) -> float:
    """What is kept: 1 from a ratio of `limit` on, 0 at half of it, a straight line between; all where `limit` is 0."""
    return min(max(2 * ratio / limit - 1, 0.0), 1.0) if limit else 1.0


def _vote(classes: Found, corpora: Corpora, silo: str) -> float | None:
    """What one host says: the silo's agreement over the best peer's, median over classes; None if nothing."""
    ratios = []
    for name, silos in classes.items():
        best = max((silos[peer] for peer in _peers(corpora, silo, name) if peer in silos), default=0.0)
        if silo in silos and best > BLIND:
            ratios.append(silos[silo] / best)
    return median(ratios) if ratios else None


def _peers(corpora: Corpora, silo: str, name: str) -> list[str]:
    """Silos that a silo is held against in one class: all others, if it annotates the class itself."""
    return [other for other in corpora if other != silo] if name in corpora.get(silo, ()) else []


def assessed(agreement: Agreement) -> list[str]:
    """Every silo that a host has assessed, sorted."""
    return sorted({silo for classes in agreement.values() for silos in classes.values() for silo in silos})


def with_agreement(agreement: Agreement, host: str, silo: str, found: Mapping[str, float]) -> Agreement:
    """The same with what `host` found of `silo`, in place of what it found before."""
    classes = agreement.get(host, {})
    updated = {name: {**classes.get(name, {}), silo: value} for name, value in found.items()}
    return {**agreement, host: {**classes, **updated}}


def agreement_of(report: Mapping[str, Any], classes: Sequence[str]) -> dict[str, float]:
    """The agreement by class in an assess report that `bounds.read_report` has read, of these classes."""
    found = report["agreement"]
    return {name: float(found[name]) for name in classes if name in found}


def found_of(
    report: Mapping[str, Any], classes: Collection[str], models: Collection[str]
) -> dict[str, dict[str, float]]:
    """What a distil report that `bounds.read_report` has read says of these models, by class and model."""
    found = report.get("agreement", {})
    return {
        name: {silo: float(found[name][silo]) for silo in sorted(models) if silo in found[name]}
        for name in sorted(classes)
        if name in found
    }
