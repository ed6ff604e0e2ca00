"""Methods as overlays over the foundation job."""

import json
from typing import Any

import pytest

from fedefm.errors import ConfigError
from fedefm.exchange.methods import REGISTRY
from fedefm.foundation.methods import job_settings, merged, method_names, overlay_of, settings_file
from fedefm.foundation.settings import Settings
from fedefm.resources import shipped

ALONE = {"schedule.compare_lone": False}
# What differed in the settings of the job folders that the overlays stand for, and in the benchmark's controls.
DIFFERS: dict[str, dict[str, Any]] = {
    "fedefm": {},
    "condist": {**ALONE, "schedule.method": "condist"},
    "cyclic": {**ALONE, "schedule.method": "cyclic"},
    "fedavg": {**ALONE, "schedule.method": "fedavg"},
    "fedavg_rate": {**ALONE, "schedule.method": "fedavg_rate"},
    "fedprox": {**ALONE, "schedule.method": "fedprox"},
    "lone": {**ALONE, "schedule.method": "lone"},
    "matcha": {**ALONE, "schedule.method": "matcha"},
    "moon": {**ALONE, "schedule.method": "moon"},
    "pooled": {**ALONE, "schedule.method": "pooled"},
    "pooled_all": {**ALONE, "schedule.method": "pooled"},
    "ring": {**ALONE, "schedule.method": "ring"},
    "scaffold": {**ALONE, "schedule.method": "scaffold"},
    "uniform": {**ALONE, "schedule.reputation_limit": 0.0, "distillation.weighting": "uniform"},
    "at_home": {**ALONE, "schedule.method": "at_home", "distillation.average_experts": False},
    "turns": {**ALONE, "schedule.method": "turns"},
    "pooled_updates": {**ALONE, "schedule.method": "pooled_updates"},
}


def flat(plain: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Values by dotted key; a network's options are one value."""
    values: dict[str, Any] = {}
    for key, value in plain.items():
        inner = isinstance(value, dict) and key != "options"
        values |= flat(value, f"{above}{key}.") if inner else {above + key: value}
    return values


def test_every_registered_method_has_an_overlay_and_every_overlay_is_known_here() -> None:
    assert set(method_names()) == set(DIFFERS) >= set(REGISTRY)
    assert method_names()[0] == "fedefm"


@pytest.mark.parametrize("method", DIFFERS)
def test_settings_are_the_foundation_jobs_but_for_what_makes_the_method(method: str) -> None:
    """What a fair comparison fixes: data, network, optimiser, rounds and steps."""
    ours, theirs = flat(job_settings().to_dict()), flat(job_settings(method=method).to_dict())
    assert {key: theirs[key] for key in theirs if theirs[key] != ours[key]} == DIFFERS[method] | (
        {} if method == ours["name"] else {"name": method}
    )


@pytest.mark.parametrize("method", sorted(set(DIFFERS) - {"fedefm"}))
def test_an_overlay_says_nothing_that_the_job_says_already(method: str) -> None:
    ours = flat(job_settings().to_dict())
    said = flat(json.loads((shipped("jobs", "baselines") / f"{method}.json").read_text()))
    assert said and not {key for key, value in said.items() if ours[key] == value}


def test_without_a_method_a_job_is_as_it_stands() -> None:
    assert job_settings() == Settings.from_dict(json.loads(settings_file().read_text()))


def test_our_own_method_leads_whatever_the_job_names(tmp_path: Any) -> None:
    file = settings_file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"classes": ["vessel"], "schedule": {"method": "ring", "rounds": 3}}))
    assert job_settings(tmp_path).schedule.method == "ring"
    assert job_settings(tmp_path, "fedefm").schedule.method == "fedefm"
    assert job_settings(tmp_path, "moon").schedule.rounds == 3  # all else is the job's own


@pytest.mark.parametrize("method", ["moan", "", "../foundation", "x" * 500])
def test_an_unknown_method_is_refused_in_one_line_that_names_the_others(method: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown.*choose one of fedefm, at_home") as caught:
        overlay_of(method)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert ("did you mean 'moon'" in str(caught.value)) == (method == "moan")


def test_objects_are_merged_and_anything_else_is_replaced() -> None:
    plain = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(plain, {"a": {"c": [3]}, "e": {"f": 1}}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": {"f": 1}}
    assert plain == {"a": {"b": 1, "c": [1, 2]}, "d": 1}
