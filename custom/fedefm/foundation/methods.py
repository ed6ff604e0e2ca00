"""Every method as a job: the foundation job, and over it the few settings in which the method differs.

A method's overlay is `jobs/baselines/NAME.json`: an object with the same keys as `foundation.json`, merged into it key
by key. One overlay a name, so one method can have several (`pooled`, `pooled_all`), and one can be our own with
another weight (`uniform`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.exchange.methods import FEDEFM
from fedefm.foundation.settings import SETTINGS_FILE, Settings, load_settings
from fedefm.resources import JOB_CONFIG, shipped

OURS = FEDEFM.name


def method_names() -> tuple[str, ...]:
    """Our own method, then every other one that has an overlay, in the order of names."""
    return (OURS, *sorted(path.stem for path in shipped("jobs", "baselines").glob("*.json")))


def overlay_of(method: str) -> dict[str, Any]:
    """What a method changes in the foundation job's settings, its name included.

    Raises:
        ConfigError: there is no such method; the message names the nearest one.
    """
    if method == OURS:  # the foundation job is ours as it stands
        return {"name": OURS, "schedule": {"method": OURS}}
    names = method_names()
    if method not in names:
        near = difflib.get_close_matches(method, names, 1)
        raise ConfigError(
            f"method '{method[:80]}' is unknown; "
            + (f"did you mean '{near[0]}'? " if near else "")
            + f"choose one of {', '.join(names)}"
        )
    return {"name": method, **json.loads((shipped("jobs", "baselines") / f"{method}.json").read_text())}


def job_settings(job: Path | None = None, method: str | None = None) -> Settings:
    """Settings of a job folder with a method's overlay over them.

    Args:
        job: a FLARE job folder; the foundation job by default.
        method: its overlay; none by default, which leaves the job as it is.

    Raises:
        ConfigError: the method is unknown, or the settings are missing or wrong.
    """
    settings = load_settings(settings_file(job))
    return settings if method is None else Settings.from_dict(merged(settings.to_dict(), overlay_of(method)))


def settings_file(job: Path | None = None) -> Path:
    """Where the settings lie in a FLARE job folder; the foundation job's by default."""
    return (job or shipped("jobs", "foundation")) / JOB_CONFIG / SETTINGS_FILE


def merged(plain: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`plain` with the values of `over` in it; where both hold an object, those are merged in the same way."""
    result = dict(plain)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result
