"""Over mutual TLS: a hospital whose policy adds noise takes part where the job takes that much; no other does."""

import json
from dataclasses import replace

import pytest
import torch

from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.place import provision
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings, synthetic_hospitals
from fedefm.foundation.run import run_in_process
from fedefm.models.checkpoint import load_weights
from fedefm.trust import sign_folder
from support.rogues import Ear, authority

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(600)]

QUIET, LOUD = "hospital-a", "hospital-c"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A consortium of its own: its policies are changed."""
    return provision(tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="module")
def folders(place):
    return synthetic_hospitals(place.root / "data", place.hospitals, 0)


def with_noise(place, name, deviation):
    """Put noise into a hospital's policy, and have its kit signed anew, as the consortium's administrator does."""
    kit = place.kit(name)
    path = kit / "local" / "privacy.json"
    policy = json.loads(path.read_text())
    noise = {"path": "fedefm.flare.filters.GaussianNoise", "args": {"deviation": deviation}}
    for scope in policy["scopes"]:
        scope["task_result_filters"] = [noise]
    for place_of in (path, path.with_name("privacy.json.default")):
        place_of.write_text(json.dumps(policy))
    sign_folder(kit, *authority(place), kind="kit", subject=name)


def test_noise_leaves_a_hospital_where_the_job_takes_it_and_more_of_it_takes_no_part(place, folders, tmp_path):
    with_noise(place, QUIET, 0.001)
    with_noise(place, LOUD, 0.1)
    settings = replace(small_settings(3), noise=0.001)
    lead, ear = Console(place.kit(place.people["lead"])), Ear(place.kit(LOUD) / "console.txt")
    with sites.running(place, folders):
        job = lead.submit(signed_job(tmp_path / "job", settings, place))
        assert lead.watch(job, JobLog(place, job, lambda event: None), 300.0) == COMPLETED
        record = collect(lead.download(job, tmp_path / "download"), tmp_path / "out")
    assert {lost["site"] for lost in record["lost"]} == {LOUD}
    said = ear()
    assert "privacy.json: GaussianNoise adds noise of deviation 0.1, the job takes up to 0.001" in said
    others = {name: folder for name, folder in folders.items() if name != LOUD}
    plain = run_in_process(settings, others).state.theta
    theta = load_weights(tmp_path / "out" / "theta.safetensors").weights
    moved = torch.cat([(theta[name] - plain[name]).flatten() for name in plain])
    assert 1e-4 < float(moved.std()) < 0.05
