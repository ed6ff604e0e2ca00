"""How a hospital's job processes run on its Slurm cluster; written in its own `local/fedefm_site.json`, as `slurm`.

    "slurm": {"parent_host": "login1", "partition": "gpu", "gpus": 1, "time": "12:00:00", "setup": "module load cuda"}

The hospital alone decides it: what a job asks of a cluster (nodes, images, commands) is not looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from fedefm.kits.approval import SITE_FILE
from fedefm.kits.kit import LOCAL, read_object
from fedefm.settings import build, settings_class

_Word = Annotated[str, Field(pattern=r"^[^\s\x00]+$", max_length=200)]
KEY = "slurm"
DIRECTIVES = ("partition", "account", "qos", "time", "constraint", "reservation")


@settings_class
class Slurm:
    """What `sbatch` is told for each job process, and how that finds its way back.

    Attributes:
        parent_host: name or address by which the compute nodes reach the machine on which the site itself runs.
        listen: address of that machine on which it listens for them; all of its addresses by default.
        port: on which it listens for them, over mutual TLS.
        gpus: GPUs of a job process.
        cpus: its processor cores; None for the cluster's default.
        megabytes: its memory; None for the cluster's default.
        partition: as the options of `sbatch` of the same names; None for the cluster's default.
        account: the same.
        qos: the same.
        time: the same.
        constraint: the same.
        reservation: the same.
        setup: shell lines that the compute node runs before, such as `module load`.
        python: the Python of the environment that holds fedefm, as compute nodes see it; None for that of the site.
        queue_seconds: how long it may wait in the queue before it is given up.
        poll_seconds: time between two questions to `squeue`.
    """

    parent_host: _Word
    listen: _Word = "0.0.0.0"  # noqa: S104 (mutual TLS; a machine's addresses are its own people's to know)
    port: Annotated[int, Field(ge=1024, le=65535)] = 8102
    gpus: NonNegativeInt = 0
    cpus: PositiveInt | None = None
    megabytes: PositiveInt | None = None
    partition: _Word | None = None
    account: _Word | None = None
    qos: _Word | None = None
    time: _Word | None = None
    constraint: _Word | None = None
    reservation: _Word | None = None
    setup: str = ""
    python: Path | None = None
    queue_seconds: PositiveInt = 600
    poll_seconds: PositiveInt = 10

    @property
    def directives(self) -> dict[str, str]:
        """Those options of `sbatch` that are given."""
        return {name: getattr(self, name) for name in DIRECTIVES if getattr(self, name) is not None}


def read_slurm(kit: Path) -> Slurm | None:
    """The cluster that a hospital names, if it names one.

    Args:
        kit: its folder; another one, such as that of a job process on a compute node, names none.

    Raises:
        ConfigError: its file cannot be read, or a value is wrong.
    """
    path = kit / LOCAL / SITE_FILE
    plain = read_object(path) if path.is_file() else {}
    return build(Slurm, plain[KEY], path.name) if plain.get(KEY) is not None else None
