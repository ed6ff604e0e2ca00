"""Filters of a site's privacy scope, FLARE's own ones among them, on this package's messages, as FLARE applies them.

On a federation: tests/federation/test_noise.py. FLARE's simulator gives its hospitals no scope at all.
"""

import json

import numpy as np
import pytest
import torch
from nvflare.apis.fl_constant import FilterKey, FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.task_utils import apply_filters
from nvflare.apis.workspace import Workspace
from nvflare.private.fed.app.fl_conf import create_privacy_manager

from fedefm.doctor.policies import scopes
from fedefm.errors import ConfigError
from fedefm.exchange.messages import STUDENT, Assignment, Result, Stage, Task
from fedefm.flare.envelope import decode_result, encode_result
from fedefm.flare.filters import check_filters, remember_sent
from fedefm.training.doubt import NOISE_SPAN, beyond_reach

FLARES = "nvflare.app_common.filters."
PERCENTILE = {"path": FLARES + "percentile_privacy.PercentilePrivacy", "args": {"percentile": 50, "gamma": 0.01}}
SVT = {"path": FLARES + "svt_privacy.SVTPrivacy", "args": {"fraction": 0.5, "epsilon": 10.0, "noise_var": 10.0}}
EXCLUDE = {"path": FLARES + "exclude_vars.ExcludeVars", "args": {"exclude_vars": ["b"]}}
NOISE = {"path": "fedefm.flare.filters.GaussianNoise", "args": {"deviation": 0.001}}
TASK = Task(Stage.LOCAL, 0, "north", "north", steps=1)
SENT = {"w": torch.linspace(-1, 1, 1000), "b": torch.zeros(3), "n": torch.tensor([7])}
TRAINED = {"w": SENT["w"] + torch.linspace(0, 0.05, 1000), "b": torch.ones(3), "n": torch.tensor([7])}


def on_update(inner: dict) -> dict:
    return {"path": "fedefm.flare.filters.OnUpdate", "args": inner}


def policy(results=(), data=()):
    scope = {"name": "foundation", "task_result_filters": list(results), "task_data_filters": list(data)}
    return {"scopes": [{"properties": {}, **scope}], "default_scope": "foundation"}


@pytest.fixture
def context(tmp_path):
    """The context of a task, with the scope that FLARE itself makes of a policy."""
    for name in ("startup", "local"):
        (tmp_path / name).mkdir()

    def made(**filters) -> FLContext:
        (tmp_path / "local" / "privacy.json").write_text(json.dumps(policy(**filters)))
        manager, fl_ctx = create_privacy_manager(Workspace(str(tmp_path), "north"), names_only=False), FLContext()
        fl_ctx.set_prop(FLContextKey.SCOPE_OBJECT, manager.get_scope(""), private=True, sticky=False)
        fl_ctx.get_engine = lambda *args, **kwargs: None
        return fl_ctx

    return made


def left(fl_ctx: FLContext) -> dict:
    """What leaves of a trained result, as the server reads it."""
    remember_sent(Assignment(TASK, {STUDENT: SENT}), fl_ctx)
    reply = encode_result(Result(TASK.id, TRAINED, {"loss": 0.5, "val_dice": None}, 7))
    filtered = apply_filters("task_result_filters", reply, fl_ctx, {}, "local", FilterKey.OUT)
    weights = decode_result(filtered, TASK).weights
    assert weights is not None and {n: (v.shape, v.dtype) for n, v in weights.items()} == {
        n: (v.shape, v.dtype) for n, v in TRAINED.items()
    }
    return weights


def test_flares_filter_by_itself_changes_nothing_and_says_nothing(context):
    """Why it is refused: the fault that this file is about."""
    assert all(torch.equal(value, TRAINED[name]) for name, value in left(context(results=[PERCENTILE])).items())


def test_percentile_privacy_works_on_the_update(context):
    fl_ctx = context(results=[on_update(PERCENTILE)])
    check_filters(fl_ctx, 0.0)
    weights = left(fl_ctx)
    update = (weights["w"] - SENT["w"]).numpy()
    # of 1003 changes the smaller half is 0, and what is left is cut at gamma
    assert np.count_nonzero(np.abs(update) < 1e-6) == pytest.approx(501, abs=2)
    assert np.abs(update).max() == pytest.approx(0.01, abs=1e-6) and torch.equal(weights["n"], TRAINED["n"])


def test_svt_privacy_works_on_the_update_and_keeps_its_account(context):
    fl_ctx = context(results=[on_update(SVT)])
    check_filters(fl_ctx, 0.0)
    weights = left(fl_ctx)
    update = weights["w"] - SENT["w"]
    assert 0 < int((update == 0).sum()) < 1000 and not torch.equal(weights["w"], TRAINED["w"])


def test_a_tensor_that_a_filter_takes_out_stays_as_it_came(context):
    weights = left(context(results=[on_update(EXCLUDE)]))
    assert torch.equal(weights["b"], SENT["b"]) and torch.allclose(weights["w"], TRAINED["w"], atol=1e-6)


def test_noise_is_drawn_anew_and_as_wide_as_was_asked(context):
    fl_ctx = context(results=[NOISE])
    check_filters(fl_ctx, 0.001)
    first, second = left(fl_ctx), left(fl_ctx)
    assert not torch.equal(first["w"], second["w"]) and torch.equal(first["n"], TRAINED["n"])
    assert float((first["w"] - TRAINED["w"]).std()) == pytest.approx(0.001, rel=0.15)


def test_the_doubt_allows_for_as_much_noise_as_the_job_takes():
    start = {"w": torch.zeros(100_000)}
    noisy = {"w": 0.01 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))}
    assert beyond_reach(start, noisy, [1e-3], 0.0) and beyond_reach(start, noisy, [1e-3], 0.0, noise=0.001)
    assert beyond_reach(start, noisy, [1e-3], 0.0, noise=0.01) is None
    far = {"w": torch.full((10,), NOISE_SPAN * 0.01 + 0.01)}
    assert beyond_reach({"w": torch.zeros(10)}, far, [1e-3], 0.0, noise=0.01)


@pytest.mark.parametrize(
    ("filters", "noise", "told"),
    [
        ({"results": [PERCENTILE]}, 1.0, "PercentilePrivacy does not see this job's weights and would filter nothing"),
        ({"results": [NOISE, SVT]}, 1.0, "SVTPrivacy does not see"),
        ({"data": [EXCLUDE]}, 1.0, "ExcludeVars does not see"),
        ({"data": [NOISE]}, 1.0, "GaussianNoise works on results that leave"),
        ({"results": [NOISE]}, 0.0005, "adds noise of deviation 0.001, the job takes up to 0.0005"),
    ],
)
def test_what_cannot_work_is_refused_in_words(context, filters, noise, told):
    with pytest.raises(ConfigError, match=told):
        check_filters(context(**filters), noise)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "fedefm.flare.filters.GaussianNoise", "args": {"deviation": -1}},
        {"path": "fedefm.flare.filters.GaussianNoise", "args": {"deviation": True}},
        on_update({"path": "os.path.join"}),
        on_update({"path": "nvflare.apis.fl_component.FLComponent"}),
        on_update({**PERCENTILE, "args": {"percentage": 1}}),
    ],
    ids=lambda wrong: json.dumps(wrong)[:60],
)
def test_a_filter_that_cannot_be_made_starts_no_job(context, wrong):
    with pytest.raises(Exception, match=r"privacy.json|PercentilePrivacy|OnUpdate|GaussianNoise"):
        context(results=[wrong])


def test_the_doctor_says_so_before_any_job():
    status = {
        name: [one.status for one in scopes(policy(results=[one]))] for name, one in (("no", SVT), ("yes", NOISE))
    }
    assert status == {"no": ["FAIL"], "yes": ["PASS"]}


@pytest.mark.parametrize("filters", [[NOISE], [on_update(PERCENTILE)]], ids=["noise", "percentile"])
def test_points_of_a_count_of_pictures_are_no_weights_and_pass_unchanged(context, filters):
    fl_ctx, task = context(results=filters), Task(Stage.OFFER, 0, "north", "south")
    points = {"offered": torch.arange(64, dtype=torch.uint8).reshape(1, 2, 32)}
    remember_sent(Assignment(task, {}), fl_ctx)
    reply = encode_result(Result(task.id, points, {"compared": True}, 0))
    filtered = apply_filters("task_result_filters", reply, fl_ctx, {}, "local", FilterKey.OUT)
    assert torch.equal(decode_result(filtered, task).weights["offered"], points["offered"])
