"""What a method is, and what its round is handed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fedefm.exchange.messages import Assignment, Check, Result, Stage, Task, W, any_report
from fedefm.exchange.ports import WeightsOps
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import Topology

NOTHING: Mapping[str, Any] = {}

Experts = dict[str, dict[str, W]]
"""Teachers' weights, by the silo that they teach and the hospital that they come from."""


@runtime_checkable
class Exchange(Protocol[W]):
    """What a method's round is handed: what it may read of the job, and the operations that it may call.

    An operation takes the state and gives a new one. It returns what came back: a hospital that fails is told to the
    run's listener, gets a miss, and is left out. Only `quorum` and `aggregate` end the run, when too few are left. A
    round that wants nothing special calls `mix`, `local` and `aggregate` (`methods/fedavg.py`).
    """

    @property
    def plan(self) -> Schedule:
        """The job's numbers."""
        ...

    @property
    def topology(self) -> Topology:
        """Who sends weights to whom."""
        ...

    @property
    def ops(self) -> WeightsOps[W]:
        """The arithmetic of weights."""
        ...

    def present(self, state: RoundState[W]) -> tuple[str, ...]:
        """Hospitals that have prepared and still answer, sorted."""
        ...

    def mix(self, state: RoundState[W], source: W | None = None, silos: Sequence[str] | None = None) -> RoundState[W]:
        """Let a share of Theta flow into the silos' weights; the share is `Method.mixing` or the schedule's.

        Nothing happens where the share is 0, or before there is a Theta.

        Args:
            state: of the round.
            source: flows in Theta's place.
            silos: only these; None means all.
        """
        ...

    def local(
        self, state: RoundState[W], sites: Sequence[str], extra: Mapping[str, Mapping[str, W]] = NOTHING
    ) -> tuple[RoundState[W], dict[str, Mapping[str, Any]]]:
        """Hospitals train their silo's weights on their own data.

        Args:
            state: of the round.
            sites: who trains; all of them present.
            extra: further weights that go along to a site, by their role (`messages.RESERVED`).

        Returns:
            The state with the trained weights, and the report of each site that came back.
        """
        ...

    def overseas(
        self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()
    ) -> tuple[Experts[W], RoundState[W], frozenset[str]]:
        """Neighbours train these silos' weights on their data (Eq. 1); the silos' own weights stay as they are.

        Silos that are not present, or were never trained at home, send nothing.

        Args:
            state: of the round.
            silos: whose weights travel.
            excused: hosts that get no miss if they fail now.

        Returns:
            The trained weights by silo and host, the state, and the hosts that failed a visit.
        """
        ...

    def distil(self, state: RoundState[W], experts: Experts[W]) -> tuple[RoundState[W], frozenset[str]]:
        """Each silo of `experts` that is present learns at home from its experts and its labels (Eq. 2, 11).

        Args:
            state: of the round.
            experts: teachers of each silo; a silo with none learns from its labels alone.

        Returns:
            The state with the taught weights, and the silos that came back.
        """
        ...

    def assess(self, state: RoundState[W], silos: Sequence[str], excused: Collection[str] = ()) -> RoundState[W]:
        """Neighbours compare these silos' weights with their own labels, where that tells silos apart.

        Nothing happens where the schedule's `reputation_limit` is 0.

        Args:
            state: of the round.
            silos: whose weights travel.
            excused: hosts that get no miss if they fail now.
        """
        ...

    def reputations(self, state: RoundState[W], silos: Iterable[str]) -> dict[str, float]:
        """Share in [0, 1] of its weight that each silo keeps, by all assessments so far."""
        ...

    def aggregate(self, state: RoundState[W], took_part: frozenset[str]) -> RoundState[W]:
        """Make the new Theta from the weights of the silos that took part; at most once a round.

        Raises:
            QuorumError: fewer than `min_sites` took part.
        """
        ...

    def quorum(self, count: int, stage: Stage, round_: int) -> None:
        """Refuse to go on with fewer than `min_sites` hospitals: for a method that makes Theta itself.

        Raises:
            QuorumError: `count` is too small.
        """
        ...

    def total_steps(self, site: str) -> int:
        """Gradient steps that a method may take at `site` over the whole run, so that all methods take as many."""
        ...

    def task(self, stage: Stage, round_: int, site: str, visitor: str | None = None, **fields: Any) -> Task:
        """A task with its own seed and its place in the run, for `perform`; `fields` are other fields of `Task`."""
        ...

    def perform(
        self,
        state: RoundState[W],
        stage: Stage,
        assignments: Sequence[Assignment[W]],
        excused: Collection[str] = (),
        check: Check = any_report,
    ) -> tuple[list[tuple[Task, Result[W]]], RoundState[W]]:
        """Have any stage done, for a round with a stage that no operation above has (`stages.Stages.perform`)."""
        ...


Round = Callable[[Exchange[Any], RoundState[Any]], RoundState[Any]]


@dataclass(frozen=True)
class Method:
    """One way to train with many hospitals.

    The exchange reads the fields up to `takes_server_rate`. The last three are for those who work on images: the
    hospital (`foundation/hospital.py`) and the simulation, which refuses what needs all images in one place.

    Attributes:
        name: what jobs and reports call it.
        one_round: plays a round with the operations of an `Exchange` and gives the state after it.
        exchanges: silos are taught at home by other hospitals' models; local training is for new silos only.
        travels: the teachers were trained abroad; else the steps of the visits are taken at home.
        once: nothing to wait for: all steps in a single round.
        mixing: share of Theta in every silo's weights at the start of a round; None takes the schedule's.
        takes_server_rate: Theta's step has the length of the schedule's server rate; else Theta is the mean itself.
        term: what the hospitals add to their local training: `proximal`, `contrast`, `variates`, `conditional`.
        pooled: one model sees all hospitals' images; runs in one process only.
        alternates: a pooled step sees a batch of one hospital, each in its turn; else a batch of every hospital.
    """

    name: str
    one_round: Round
    exchanges: bool = False
    travels: bool = False
    once: bool = False
    mixing: float | None = 1.0
    takes_server_rate: bool = False
    term: str | None = None
    pooled: bool = False
    alternates: bool = False

    def rounds_of(self, plan: Schedule) -> int:
        """Rounds that this method needs."""
        return 1 if self.once else plan.rounds

    def mixing_of(self, plan: Schedule) -> float:
        """Share of Theta that flows into the silos: FedAvg and its kin start each round from Theta."""
        return plan.theta_mixing if self.mixing is None else self.mixing

    def server_rate_of(self, plan: Schedule) -> float:
        """Length of Theta's step towards the silos' mean, and beyond it above 1."""
        return plan.server_rate if self.takes_server_rate else 1.0
