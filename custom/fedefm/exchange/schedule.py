"""The numbers of a run: its method's name, its rounds, its steps, and how weights are mixed."""

from __future__ import annotations

from dataclasses import dataclass

from fedefm.errors import ConfigError

PARALLEL = "parallel"
SEQUENTIAL = "sequential"
ORDERS = (PARALLEL, SEQUENTIAL)


@dataclass(frozen=True)
class Schedule:
    """The numbers of a run.

    `fedefm` follows the paper's round: local (a silo's first round only), overseas, distil, aggregate. Every other
    method takes as many gradient steps at each hospital as `fedefm` would (`exchange/tasks.py`). It takes them in as
    many rounds or, where no hospital has to wait for another, in one.

    Attributes:
        method: name of the method; `foundation/settings.py` checks that there is one of this name.
        rounds: communication rounds R.
        local_steps: gradient steps of the first local training.
        overseas_steps: gradient steps of one visit.
        distil_steps: gradient steps of one distillation.
        theta_mixing: share of Theta in every silo's weights at the start of a round. The paper has 0; then the theta_i
            drift apart and their mean is no useful model (docs/method.md).
        server_rate: length of Theta's step from its last value towards the silos' mean. At 1 Theta is the mean, as in
            the paper; above 1 it goes beyond the mean. This is the server's learning rate of Reddi et al. (Adaptive
            Federated Optimization, 2021). Only methods with `Method.takes_server_rate` read it.
        order: `sequential`: the silos take turns, and each starts from what the one before it returned (sequential
            federated learning, Li and Lyu 2023). `parallel`: all silos start a round from Theta and work at the same
            time, as in the paper. Both take the same gradient steps and move the same bytes; in `parallel` there is
            less to wait for. Only `fedefm` and its variants read it.
        groups: under `sequential`, the number of groups that silos are dealt into (`exchange/groups.py`): those of a
            group take turns, and the groups work at the same time. With 1 there is one turn after another; with a third
            of the number of hospitals, rounded up, a round waits for three turns.
        reputation_limit: after its turn a silo is assessed: its neighbours compare its weights with their own labels.
            A silo that agrees with them less than this share as well as the best other silo does (in the median)
            counts less: as a teacher, in Theta, and in what the next silo starts from (`exchange/reputation.py`). At 0
            nobody is assessed. Only `fedefm` and its variants read it, and only where three hospitals annotate one
            class.
        min_sites: fewer hospitals than this in an aggregate end the run.
        max_misses: a hospital that failed this many stages in a row gets no work until it answers again; a host that
            was waited for in vain in this many stages of visits in a row is not visited for some rounds.
        weigh_by_images: aggregate by number of images, else evenly.
        compare_lone: train, at each hospital, a lone model at equal steps that never leaves it.
        seed: the job's seed.

    Raises:
        ConfigError: a value is out of range.
    """

    method: str = "fedefm"
    rounds: int = 8
    local_steps: int = 8
    overseas_steps: int = 2
    distil_steps: int = 33
    theta_mixing: float = 1.0
    server_rate: float = 1.5
    order: str = SEQUENTIAL
    groups: int = 1
    reputation_limit: float = 0.5
    min_sites: int = 1
    max_misses: int = 2
    weigh_by_images: bool = False
    compare_lone: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "local_steps", "overseas_steps", "distil_steps", "groups", "min_sites", "max_misses"):
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
