"""The baselines' job folders: the foundation job's own files, with another method in the settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.fixed.tables import BASELINES

from fedefm.errors import ConfigError
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import load_settings
from fedefm.simulation.foundation import simulate
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

JOBS = Path(__file__).parents[2] / "jobs"
NAMES = sorted(path.parent.name for path in (JOBS / "baselines").glob("*/meta.json"))
SETTINGS = Path("app/config/foundation.json")


def files(job):
    return {path.relative_to(job): path.read_text() for path in job.rglob("*") if path.is_file()}


def test_there_is_a_job_for_every_method_but_ours():
    assert set(NAMES) >= set(REGISTRY) - {"fedefm"}
    assert set(NAMES) == set(BASELINES) - {"fedefm", "fedavg_bytes"}


@pytest.mark.parametrize("name", NAMES)
def test_a_job_differs_from_the_foundation_job_in_its_settings_alone(name):
    ours, theirs = files(JOBS / "foundation"), files(JOBS / "baselines" / name)
    assert set(ours) == set(theirs)
    assert {path for path in ours if ours[path] != theirs[path]} == {Path("meta.json"), SETTINGS}
    meta, foundation = json.loads(theirs[Path("meta.json")]), json.loads(ours[Path("meta.json")])
    assert meta == {**foundation, "name": name}


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_the_foundation_jobs_but_for_the_method(name):
    """What a fair comparison fixes: data, network, optimiser, rounds and steps."""
    ours, theirs = (load_settings(job / SETTINGS) for job in (JOBS / "foundation", JOBS / "baselines" / name))
    limit = {"uniform": 0.0}.get(name, ours.schedule.reputation_limit)  # weights of 1 are no weights at all
    assert theirs.schedule.reputation_limit == limit
    schedule = replace(theirs.schedule, method="fedefm", compare_lone=True, reputation_limit=0.5)
    assert replace(ours, name=name) == replace(
        theirs, schedule=schedule, distillation=ours.distillation, baseline=ours.baseline
    )
    method = {"uniform": "fedefm", "pooled_all": "pooled"}.get(name, name)
    assert theirs.schedule.method == method and not theirs.schedule.compare_lone
    assert (theirs.distillation.weighting == "uniform") == (name == "uniform")


@pytest.mark.parametrize("name", NAMES)
def test_the_first_round_of_a_job_runs(name, consortium):
    job = load_settings(JOBS / "baselines" / name / SETTINGS)
    plan = replace(job.schedule, rounds=1, local_steps=1, overseas_steps=1, distil_steps=1)
    small = replace(job, size=32, model=SMALLEST, optimisation=Optimisation(batch_size=2), schedule=plan)
    run = run_in_process(small, consortium)
    assert run.figures["lost"] == [] and 0 <= run.figures["dice"]["mean"] <= 1
    assert run.state.round == 1 and (run.state.theta is None) == (name == "lone")


@pytest.mark.parametrize("name", ["pooled", "pooled_all"])
def test_pooled_jobs_say_that_they_need_one_process(name, tmp_path):
    with pytest.raises(ConfigError, match="--in-process"):
        simulate(load_settings(JOBS / "baselines" / name / SETTINGS), {"a": tmp_path}, tmp_path / "out")


@pytest.mark.simulator
def test_flare_runs_a_baseline_as_one_process_does(consortium, tmp_path):
    """SCAFFOLD, whose tasks carry more weights and whose reports carry a number more than any other method's."""
    name = "scaffold"
    job = load_settings(JOBS / "baselines" / name / SETTINGS)
    plan = Schedule(name, rounds=2, local_steps=1, overseas_steps=1, distil_steps=1, min_sites=2)
    small = replace(job, size=32, model=SMALLEST, optimisation=Optimisation(batch_size=2), schedule=plan)
    sites = {site: consortium[site] for site in ("east", "west")}
    record = simulate(small, sites, tmp_path / "out", job=JOBS / "baselines" / name)
    run = run_in_process(small, sites)
    assert record["lost"] == [] and record["method"] == name
    assert {k: record[k] for k in ("dice", "bytes")} == {k: run.figures[k] for k in ("dice", "bytes")}
