"""The settings of a case: what the benchmark fixes, and what the method's own job chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.fixed.definition import ABSENT, Case, Definition

from fedefm.errors import ConfigError
from fedefm.exchange.tasks import total_steps
from fedefm.exchange.topology import Topology, resolve
from fedefm.foundation.methods import job_settings
from fedefm.foundation.settings import Settings

OURS = "fedefm"
BYTES = "_bytes"
_CHOSEN = ("method", "theta_mixing", "server_rate", "order", "groups", "reputation_limit", "weigh_by_images")
_FIXED = ("classes", "size", "model", "optimisation")


def case_settings(definition: Definition, case: Case) -> Settings:
    """Settings of a case.

    The job gives the method, its mixing, distillation and baseline settings; the definition all else, but for how
    our own job and its variants share the same steps out (`ours.json`). An ablation changes single values of our job.

    Raises:
        ConfigError: the method is unknown, or takes another number of gradient steps than the benchmark's.
    """
    consortium, sites = definition.consortium(case.consortium), definition.sites_of(case)
    plain = _job_of(definition, case.method).to_dict()
    steps = consortium["equal_bytes" if case.method.endswith(BYTES) else "schedule"]
    plain |= {key: consortium.get(key, definition.plain[key]) for key in _FIXED}
    plain |= {"name": case.method, "topology": _topology(definition, consortium)}
    chosen = {key: plain["schedule"][key] for key in _CHOSEN}
    if plain["schedule"]["method"] == OURS:
        steps = {**steps, **definition.ours.get(case.consortium, {})}
    if case.scenario == ABSENT:  # one visitor less at each: its steps are taken at home
        steps = {**steps, "distil_steps": steps["distil_steps"] + steps["overseas_steps"]}
    plain["schedule"] = {**chosen, **steps, "seed": case.seed, "min_sites": len(sites), "compare_lone": False}
    for key, value in definition.ablations.get(case.method, {}).items():
        part, _, name = key.partition(".")
        plain[part] = {**plain[part], name: value}
    settings = Settings.from_dict(plain)
    check_steps(settings, resolve(settings.topology, sites), consortium["steps"])
    return settings


def check_steps(settings: Settings, topology: Topology, steps: int) -> None:
    """Refuse a comparison at unequal gradient steps.

    Raises:
        ConfigError: a hospital would take another number of steps over the run.
    """
    for site in topology.sites:
        taken = total_steps(settings.schedule, topology, site)
        if taken != steps:
            raise ConfigError(
                f"{settings.name}: {taken} gradient steps at {site}, the benchmark has {steps}; change them"
            )


def _topology(definition: Definition, consortium: Mapping[str, Any]) -> str:
    file = definition.folder / consortium["topology"]
    return str(file) if file.is_file() else consortium["topology"]


def _job_of(definition: Definition, method: str) -> Settings:
    return job_settings(method=None if method in definition.ablations else method.removesuffix(BYTES))
