"""A hospital's side of the count of pictures that it and another one both have (`trust/private_count.py`).

One of the two offers its points, the other answers with them under both secrets and with its own, and the first
counts. Nobody gets more than one answer or one count of each hospital in a run, so that guesses cannot be tried one
after another; whatever a peer sends that is no point costs the pair its count, and nobody else anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Task
from fedefm.models.build import Weights
from fedefm.survey.points import (
    ANSWER,
    LEAST,
    MINE,
    OFFERED,
    THEIRS,
    as_rows,
    as_tensor,
    misfit_of_match,
    misfit_of_offer,
)
from fedefm.trust.private_count import Party, count

Tokens = Sequence[Sequence[bytes]]
Answer = tuple[Weights | None, dict[str, Any]]
REFUSED: dict[str, Any] = {"compared": False}


class Meeting:
    """What one hospital keeps while it is compared with the others.

    Args:
        tokens: what stands for each of its images, when first asked for.
        compares: whether the hospital takes part at all.
        least: counts of fewer pictures are not told, and with fewer images it does not take part.
    """

    def __init__(self, tokens: Callable[[], Tokens], *, compares: bool, least: int):
        self._read, self._compares, self._least = tokens, compares, least
        self._known: Tokens | None = None
        self._offers: dict[str, tuple[Party, Weights] | None] = {}
        self._answered: set[str] = set()

    def offer(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> Answer:
        """This hospital's points for the other, under a secret that is made for it."""
        if task.visitor in self._offers:
            raise ProtocolError(f"task {task.id}: pictures are compared once with each hospital")
        if not self._takes_part():
            return None, dict(REFUSED)
        party = Party()
        points = {OFFERED: as_tensor(party.blind(self._tokens()))}
        self._offers[task.visitor] = party, points
        return points, {"compared": True}

    def match(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> Answer:
        """What the other offered under both secrets, and this hospital's own points under its own."""
        if task.visitor in self._answered:
            raise ProtocolError(f"task {task.id}: pictures are compared once with each hospital")
        self._answered.add(task.visitor)
        offered = models.get(OFFERED, {})
        if not self._takes_part() or misfit_of_offer(offered):
            return None, dict(REFUSED)
        party = Party()
        try:
            both = party.blind_again(as_rows(offered[OFFERED]))
        except ProtocolError:  # the other's fault, not this hospital's
            return None, dict(REFUSED)
        tables = {MINE: as_tensor(both), THEIRS: as_tensor(party.blind(self._tokens()))}
        return {**tables, LEAST: torch.tensor([self._least])}, {"compared": True}

    def common(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> Answer:
        """How many of this hospital's pictures the other has, as far as both let it be told."""
        kept, answer = self._offers.get(task.visitor), models.get(ANSWER, {})
        if kept is None:
            raise ProtocolError(f"task {task.id}: nothing is open with this hospital; it is asked once")
        self._offers[task.visitor] = None
        party, points = kept
        if misfit_of_match(answer, points[OFFERED]):
            return None, REFUSED | {"common": None}
        try:
            found = count(as_rows(answer[MINE]), party.blind_again(as_rows(answer[THEIRS])))
        except ProtocolError:  # the other's fault, not this hospital's
            return None, REFUSED | {"common": None}
        return None, {"compared": True, "common": told(found, max(self._least, int(answer[LEAST])))}

    def _takes_part(self) -> bool:
        return self._compares and len(self._tokens()) >= self._least

    def _tokens(self) -> Tokens:
        if self._known is None:
            self._known = self._read()
        return self._known


def told(common: int, least: int) -> int | None:
    """A count, or None where it is below `least`.

    That there is none is not told apart from few, other than in a summary: with one picture of its own a hospital could
    else ask whether it is here, and everyone would read the answer.
    """
    return common if common >= least else None
