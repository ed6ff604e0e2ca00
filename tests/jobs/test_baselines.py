"""The methods that FedEFM is compared with, each run once as its overlay has it."""

from dataclasses import replace

import pytest
from benchmarks.fixed.tables import BASELINES

from fedefm.errors import ConfigError
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.methods import job_settings, method_names
from fedefm.foundation.run import run_in_process
from fedefm.simulation.foundation import simulate
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

NAMES = sorted(set(method_names()) - {"fedefm"})


def test_every_baseline_of_the_benchmark_has_an_overlay():
    assert set(NAMES) >= set(BASELINES) - {"fedefm", "fedavg_bytes"}  # the second is fedavg with other rounds


@pytest.mark.parametrize("name", NAMES)
def test_the_first_round_of_a_method_runs(name, consortium):
    job = job_settings(method=name)
    plan = replace(job.schedule, rounds=1, local_steps=1, overseas_steps=1, distil_steps=1)
    small = replace(job, size=32, model=SMALLEST, optimisation=Optimisation(batch_size=2), schedule=plan)
    run = run_in_process(small, consortium)
    assert run.figures["lost"] == [] and 0 <= run.figures["dice"]["mean"] <= 1
    assert run.state.round == 1 and (run.state.theta is None) == (name == "lone")


@pytest.mark.parametrize("name", ["pooled", "pooled_all", "pooled_updates"])
def test_pooled_methods_say_that_they_need_one_process(name, tmp_path):
    with pytest.raises(ConfigError, match="--in-process"):
        simulate(job_settings(method=name), {"a": tmp_path}, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.simulator
def test_flare_runs_a_baseline_as_one_process_does(consortium, tmp_path):
    """SCAFFOLD, whose tasks carry more weights and whose reports carry a number more than any other method's."""
    name = "scaffold"
    job = job_settings(method=name)
    plan = Schedule(name, rounds=2, local_steps=1, overseas_steps=1, distil_steps=1, min_sites=2)
    small = replace(job, size=32, model=SMALLEST, optimisation=Optimisation(batch_size=2), schedule=plan)
    sites = {site: consortium[site] for site in ("east", "west")}
    record = simulate(small, sites, tmp_path / "out")
    run = run_in_process(small, sites)
    assert record["lost"] == [] and record["method"] == name
    assert {k: record[k] for k in ("dice", "bytes")} == {k: run.figures[k] for k in ("dice", "bytes")}
