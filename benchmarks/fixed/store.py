"""Results on disk: one JSON file a run, so that a sweep can be broken off and taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.fixed.definition import Case, Definition
from benchmarks.fixed.run import plain_config
from benchmarks.fixed.settings import case_settings

from fedefm.errors import ConfigError
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.reputation import comparable
from fedefm.exchange.topology import resolve

_NO_MATTER = ("name", "stage_timeout")

NEUTRAL: Mapping[str, Mapping[str, Any]] = {
    "distillation": {"static_limit": 1.0},
    "schedule": {"order": "parallel", "groups": 1, "reputation_limit": 0.0},
    "optimisation": {"accumulate": 1, "orientation": "any", "precision": "float32", "channels_last": False},
}
NEUTRAL_JOB: Mapping[str, Any] = {"start": "", "start_sha256": "", "noise": 0.0, "wire": "float32"}
"""Settings that are younger than the first results, at the value under which a run is what it was without them."""

GONE: Mapping[str, Mapping[str, Any]] = {"distillation": {"even_nodes": False}}
"""Settings that older results name and that are no more, at the value under which a run is what it is without them."""


def result_path(definition: Definition, case: Case) -> Path:
    """File of a case's result."""
    return definition.folder / "results" / f"{case.key}.json"


def read_result(path: Path) -> dict[str, Any]:
    """A result as it was written.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable result ({error}); remove it and run again") from error


def is_current(definition: Definition, result: Mapping[str, Any]) -> bool:
    """Whether a result is of this definition and of the settings that its method has today."""
    case = Case(**result["case"])
    if result["definition"] != definition.sha256(case.consortium):
        return False
    try:
        settings = case_settings(definition, case)
    except ConfigError:  # an ablation that is no longer there
        return False
    found = {part: _as_of_today(part, value) for part, value in {**NEUTRAL_JOB, **result["config"]}.items()}
    topology, corpora = resolve(settings.topology, definition.sites_of(case)), result["corpora"]
    compared = any(comparable(topology, corpora, i, j) for i in topology.sites for j in topology.neighbours(i))
    return _what_matters(found, compared) == _what_matters(plain_config(settings), compared)


def _what_matters(config: Mapping[str, Any], compared: bool) -> dict[str, Any]:
    """The parts of a configuration that tell one result of its method from another.

    Args:
        config: a run's settings.
        compared: whether any three hospitals annotate one class; else no silo is assessed.
    """
    rules, parts = REGISTRY[config["schedule"]["method"]], {k: v for k, v in config.items() if k not in _NO_MATTER}
    used = {
        "order": rules.exchanges,
        "groups": rules.exchanges,
        "server_rate": rules.takes_server_rate,
        "reputation_limit": rules.exchanges and compared,
    }
    parts["schedule"] = {key: value for key, value in config["schedule"].items() if used.get(key, True)}
    return parts if rules.exchanges else {key: value for key, value in parts.items() if key != "distillation"}


def _as_of_today(part: str, value: Any) -> Any:
    """A part of an older result's configuration with the settings that there are today, where that is the same run."""
    if part not in NEUTRAL:
        return value
    gone = GONE.get(part, {})
    kept = {name: one for name, one in value.items() if name not in gone or one != gone[name]}
    return {**NEUTRAL[part], **kept}


def left_over(definition: Definition, cases: Iterable[Case]) -> list[Case]:
    """Cases that have no current result, in their order."""
    return [case for case in dict.fromkeys(cases) if not _is_done(definition, case)]


def _is_done(definition: Definition, case: Case) -> bool:
    path = result_path(definition, case)
    return path.is_file() and is_current(definition, read_result(path))


def current_results(definition: Definition) -> list[dict[str, Any]]:
    """All results that count today, in the order of their files."""
    found = [read_result(file) for file in sorted((definition.folder / "results").glob("*/*.json"))]
    return [result for result in found if is_current(definition, result)]
