"""Which stages a method runs in which round, and how many gradient steps each task takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedefm.errors import ConfigError
from fedefm.exchange.messages import Stage, Task, task_seed
from fedefm.exchange.method import Method
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.topology import Topology

FEDEFM = "fedefm"
FEDAVG = "fedavg"
LONE = "lone"
PARALLEL = "parallel"
SEQUENTIAL = "sequential"
ORDERS = (PARALLEL, SEQUENTIAL)
METHODS = tuple(REGISTRY)


@dataclass(frozen=True)
class Schedule:
    """The plan of a run.

    `fedefm` follows the paper's round: local (a silo's first round only), overseas, distil, aggregate. The baselines
    (`exchange/methods`) take as many gradient steps at every hospital as `fedefm` would, in the same number of rounds
    or, where there is nothing to wait for, all at once.

    Attributes:
        method: one of `METHODS`.
        rounds: communication rounds R.
        local_steps: gradient steps of the first local training.
        overseas_steps: gradient steps of one visit.
        distil_steps: gradient steps of one distillation.
        theta_mixing: share of Theta in every silo's weights at the start of a round. The paper has 0; then the theta_i
            drift apart and their mean is no useful model (docs/method.md).
        server_rate: how far Theta goes from its last value towards the silos' mean and beyond: 1 is the mean, as in the
            paper; the server's learning rate of Reddi et al. (Adaptive Federated Optimization, 2021). Of `fedefm` and
            `fedavg_rate` only.
        order: `sequential`: silos take turns, each starting from what the one before it returned (sequential federated
            learning, Li and Lyu 2023); `parallel`: all start a round from Theta and work at the same time, as in the
            paper: as many gradient steps and bytes, fewer waits. Of `fedefm` only.
        reputation_limit: after its turn a silo's weights are assessed at its neighbours. A silo whose weights agree
            with their labels, in the median, less than this share as well as the best other silo's counts less: its
            experts as teachers, its weights in Theta and in what the next silo starts from
            (`exchange/reputation.py`). 0 assesses nothing. Of `fedefm` only; without effect where no three hospitals
            annotate one class.
        min_sites: fewer hospitals than this in an aggregate end the run.
        max_misses: a hospital that failed this many stages in a row gets no more work.
        weigh_by_images: aggregate by number of images, else evenly.
        compare_lone: train, at each hospital, a lone model at equal steps that never leaves it.
        seed: the job's seed.

    Raises:
        ConfigError: a value is out of range.
    """

    method: str = FEDEFM
    rounds: int = 8
    local_steps: int = 8
    overseas_steps: int = 2
    distil_steps: int = 33
    theta_mixing: float = 1.0
    server_rate: float = 1.5
    order: str = SEQUENTIAL
    reputation_limit: float = 0.5
    min_sites: int = 1
    max_misses: int = 2
    weigh_by_images: bool = False
    compare_lone: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method '{self.method}' is unknown; choose one of {', '.join(METHODS)}")
        for name in ("rounds", "local_steps", "overseas_steps", "distil_steps", "min_sites", "max_misses"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0.0 <= self.theta_mixing <= 1.0:
            raise ConfigError(f"theta_mixing must lie in [0, 1], not {self.theta_mixing}")
        if not 0.0 < self.server_rate <= 4.0:
            raise ConfigError(f"server_rate must lie above 0 and not above 4, not {self.server_rate}")
        if not 0.0 <= self.reputation_limit <= 1.0:
            raise ConfigError(f"reputation_limit must lie in [0, 1], not {self.reputation_limit}")
        if self.order not in ORDERS:
            raise ConfigError(f"order '{self.order}' is unknown; choose one of {', '.join(ORDERS)}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, not {self.seed}")

    @property
    def rules(self) -> Method:
        """What the method does in a round."""
        return REGISTRY[self.method]

    @property
    def exchanges(self) -> bool:
        """Whether experts travel."""
        return self.rules.exchanges

    @property
    def rounds_run(self) -> int:
        """Rounds that this method needs."""
        return 1 if self.rules.once else self.rounds

    @property
    def mixing(self) -> float:
        """Share of Theta that flows back: FedAvg and its kin start each round from Theta."""
        return self.theta_mixing if self.rules.mixing is None else self.rules.mixing

    @property
    def theta_rate(self) -> float:
        """How far Theta goes towards the silos' mean and beyond: most baselines take the mean itself."""
        return self.server_rate if self.rules.rated else 1.0

    def turns(self, silos: Sequence[str], round_: int) -> list[tuple[str, ...]]:
        """Silos that work at the same time, one group after another; who begins moves on by one from round to round."""
        if self.order == PARALLEL or not silos:
            return [tuple(silos)]
        first = round_ % len(silos)
        return [(silo,) for silo in (*silos[first:], *silos[:first])]

    def hosted_steps(self, topology: Topology, site: str, round_: int) -> int:
        """Gradient steps that `fedefm` computes at `site` in a round: what a baseline may spend there."""
        visits = len(topology.visitors(site)) * self.overseas_steps
        return (self.local_steps if round_ == 0 else 0) + visits + self.distil_steps

    def total_steps(self, topology: Topology, site: str) -> int:
        """Gradient steps at `site` over the whole run."""
        return sum(self.hosted_steps(topology, site, k) for k in range(self.rounds))

    def steps_at_home(self, topology: Topology, site: str, round_: int) -> int:
        """Gradient steps of one local training."""
        if self.rules.exchanges:
            return self.local_steps
        return self.total_steps(topology, site) if self.rules.once else self.hosted_steps(topology, site, round_)

    def distil_steps_at(self, topology: Topology, site: str) -> int:
        """Gradient steps of one distillation; who sends no expert abroad takes the steps of the visits at home."""
        return self.distil_steps + (0 if self.rules.travels else len(topology.visitors(site)) * self.overseas_steps)

    def pooled_task(self, topology: Topology, site: str) -> Task:
        """Training on all images at once.

        A step draws a batch of every hospital, so the busiest one sets their number; where steps alternate between the
        hospitals there are as many as all hospitals take together, on as many images.
        """
        steps = [self.total_steps(topology, s) for s in topology.sites]
        return self._task(Stage.LOCAL, 0, site, steps=sum(steps) if self.rules.alternates else max(steps))

    def _task(self, stage: Stage, round_: int, site: str, visitor: str | None = None, **fields: object) -> Task:
        visitor = visitor or site
        progress = (round_ / self.rounds_run, (round_ + 1) / self.rounds_run) if stage in TRAINING else (0.0, 1.0)
        seed = task_seed(self.seed, stage, round_, site, visitor)
        return Task(stage, round_, site, visitor, progress=progress, seed=seed, **fields)  # type: ignore[arg-type]


TRAINING = (Stage.LOCAL, Stage.OVERSEAS, Stage.DISTIL)


def prepare_tasks(plan: Schedule, sites: Sequence[str]) -> list[Task]:
    """Every hospital reads its data and says what it labels."""
    return [plan._task(Stage.PREPARE, 0, site) for site in sites]


def local_tasks(plan: Schedule, topology: Topology, sites: Sequence[str], round_: int) -> list[Task]:
    """Hospitals train on their own data: new silos in `fedefm`, everyone in the baselines."""
    steps = {site: plan.steps_at_home(topology, site, round_) for site in sites}
    return [plan._task(Stage.LOCAL, round_, site, steps=steps[site]) for site in sites]


def overseas_tasks(
    plan: Schedule, topology: Topology, visitors: Sequence[str], hosts: Sequence[str], round_: int
) -> list[Task]:
    """One task a (visitor, host) pair among those that are present (Eq. 1)."""
    return [
        plan._task(Stage.OVERSEAS, round_, host, visitor, steps=plan.overseas_steps)
        for visitor in visitors
        for host in topology.neighbours(visitor)
        if host in hosts
    ]


def distil_task(
    plan: Schedule,
    topology: Topology,
    site: str,
    round_: int,
    teachers: Mapping[str, tuple[str, ...]],
    reputation: Mapping[str, float],
) -> Task:
    """A silo learns at home from the experts that came back (Eq. 2, 11)."""
    known, steps = {host: reputation[host] for host in sorted(teachers)}, plan.distil_steps_at(topology, site)
    return plan._task(
        Stage.DISTIL, round_, site, steps=steps, teachers=dict(sorted(teachers.items())), reputation=known
    )


def assess_tasks(plan: Schedule, pairs: Sequence[tuple[str, str]], round_: int) -> list[Task]:
    """One task a (silo, host) pair: the host holds the silo's weights against its own labels."""
    return [plan._task(Stage.ASSESS, round_, host, silo) for silo, host in pairs]


def lone_tasks(plan: Schedule, topology: Topology, sites: Sequence[str]) -> list[Task]:
    """A model of the hospital's own at equal gradient steps, for comparison; it stays at home."""
    return [plan._task(Stage.LONE, 0, site, steps=plan.total_steps(topology, site)) for site in sites]


def evaluate_tasks(plan: Schedule, sites: Sequence[str]) -> list[Task]:
    """Every hospital measures every model on its test split."""
    return [plan._task(Stage.EVALUATE, plan.rounds_run, site) for site in sites]
