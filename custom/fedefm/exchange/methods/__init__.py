"""Every method by name: FedEFM and what it is compared with. One file a shape of round."""

from __future__ import annotations

from fedefm.errors import ConfigError
from fedefm.exchange.method import Method
from fedefm.exchange.methods.cyclic import CYCLIC
from fedefm.exchange.methods.fedavg import CONDIST, FEDAVG, FEDAVG_RATE, FEDPROX
from fedefm.exchange.methods.fedefm import AT_HOME, FEDEFM, TURNS
from fedefm.exchange.methods.lone import LONE
from fedefm.exchange.methods.matcha import MATCHA
from fedefm.exchange.methods.moon import MOON
from fedefm.exchange.methods.pooled import POOLED, POOLED_UPDATES
from fedefm.exchange.methods.ring import RING
from fedefm.exchange.methods.scaffold import SCAFFOLD

REGISTRY: dict[str, Method] = {
    method.name: method
    for method in (
        FEDEFM,
        AT_HOME,
        TURNS,
        FEDAVG,
        FEDAVG_RATE,
        FEDPROX,
        MOON,
        SCAFFOLD,
        CONDIST,
        RING,
        MATCHA,
        CYCLIC,
        LONE,
        POOLED,
        POOLED_UPDATES,
    )
}


def method_named(name: str) -> Method:
    """The method that a job names.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in REGISTRY:
        raise ConfigError(f"method '{name}' is unknown; choose one of {', '.join(REGISTRY)}")
    return REGISTRY[name]
