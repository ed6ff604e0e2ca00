"""A whole run of the expert exchange: one round after another, over any transport.

The FLARE controller and the in-process runner both call `run`; they differ only in the `Transport` that they hand in.
Weights are opaque: what is done with them comes in as `WeightsOps`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from fedefm.exchange.events import Listener
from fedefm.exchange.messages import START, STUDENT, THETA, Assignment, Stage, W
from fedefm.exchange.method import Method
from fedefm.exchange.operations import Operations
from fedefm.exchange.ports import Transport, WeightsOps
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import Topology


@dataclass
class Coordinator(Generic[W]):
    """Runs the rounds of a method over a topology.

    Attributes:
        plan: the job's numbers.
        rules: the job's method.
        topology: who visits whom.
        classes: foreground classes of the job; a label corpus may name no other.
        transport: carries the work.
        ops: arithmetic of weights.
        listen: is told every event.
        commit: is handed the state after every round, to save it.
        measure_start: the start weights are measured beside Theta in the end.
        stages: has stages done.
        operations: what each round is handed.
    """

    plan: Schedule
    rules: Method
    topology: Topology
    classes: Sequence[str]
    transport: Transport[W]
    ops: WeightsOps[W]
    listen: Listener
    commit: Callable[[RoundState[W]], None] = lambda state: None
    measure_start: bool = False
    stages: Stages[W] = field(init=False)
    operations: Operations[W] = field(init=False)

    def __post_init__(self) -> None:
        plan = self.plan
        self.stages = Stages(
            self.transport,
            self.ops,
            self.classes,
            self.listen,
            rounds=self.rules.rounds_of(plan),
            seed=plan.seed,
            min_sites=plan.min_sites,
            max_misses=plan.max_misses,
        )
        self.operations = Operations(plan, self.rules, self.topology, self.stages)

    def run(
        self, initial: W, resume: RoundState[W] | None = None, there: Collection[str] | None = None
    ) -> RoundState[W]:
        """Prepare the hospitals, run all rounds that are left, evaluate, and return the last state.

        Args:
            initial: start weights of every silo.
            resume: a state of `commit`, from which the run goes on; its silos are those of the topology.
            there: hospitals that can be asked at all; None means all of the topology.

        Raises:
            QuorumError: fewer than `min_sites` hospitals took part in a stage that needs them.
        """
        state = resume or RoundState(0, dict.fromkeys(self.topology.sites, initial))
        state = self.prepare(state, there)
        while state.round < self.stages.rounds:
            state = self.one_round(state)
            self.commit(state)
        if self.plan.compare_lone:
            tasks = self.operations.tasks.lone(self.stages.present(state))
            self.stages.perform(state, Stage.LONE, [Assignment(task, {STUDENT: initial}) for task in tasks])
        self.evaluate(state, {START: initial} if self.measure_start else {})
        return state

    def prepare(self, state: RoundState[W], there: Collection[str] | None = None) -> RoundState[W]:
        """Ask hospitals to read their data and name their label corpora."""
        return self.stages.prepare(state, self.topology.sites if there is None else there)

    def one_round(self, state: RoundState[W]) -> RoundState[W]:
        """One communication round, as the method plays it."""
        state = self.stages.recall(state) if state.round else state
        return replace(self.rules.one_round(self.operations, state), round=state.round + 1)

    def evaluate(self, state: RoundState[W], beside: Mapping[str, W]) -> None:
        """Measure Theta, every theta_i, and what is named beside them, on every hospital's test split."""
        models = ({} if state.theta is None else {THETA: state.theta}) | dict(beside)
        models |= {site: state.silos[site] for site in sorted(state.trained)}
        tasks = self.stages.tasks(state, Stage.EVALUATE, self.stages.rounds)
        self.stages.perform(state, Stage.EVALUATE, [Assignment(task, models) for task in tasks])
