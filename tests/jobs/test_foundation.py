"""The job folders and the simulator's policy: configuration only, and no class that the policy does not name."""

import json
import shutil
from pathlib import Path

import pytest
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.workspace import Workspace
from nvflare.app_common.widgets.component_path_authorizer import ComponentPathAuthorizer
from nvflare.fuel.utils.class_loader import load_class
from nvflare.private.fed.client.client_runner import TaskRouter

from fedefm.exchange.messages import Stage
from fedefm.foundation.settings import load_settings

ROOT = Path(__file__).parents[2]
JOBS = sorted(path.parent for path in (ROOT / "jobs").glob("*/meta.json"))
POLICY = ROOT / "workspace_templates" / "simulator" / "local"


def configs(job):
    return [json.loads(path.read_text()) for path in job.glob("app*/config/config_fed_*.json")]


def components(node):
    """Every object with a class path, at any depth."""
    if isinstance(node, dict):
        yield from ([node] if "path" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from components(inner)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "startup").mkdir()
    shutil.copytree(POLICY, tmp_path / "local")
    return Workspace(str(tmp_path), "site")


def test_there_are_jobs():
    assert [job.name for job in JOBS] == ["data_report", "evaluation", "finetune", "foundation"]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_is_configuration_only(job):
    files = [path for path in job.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json"}
    assert not [path for path in job.rglob("*") if path.name == "custom"]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_flare_lets_every_class_of_a_job_pass_and_can_load_it(job, workspace):
    found = [component for config in configs(job) for component in components(config)]
    assert len(found) >= 2
    for component in found:
        ComponentPathAuthorizer().authorize_component_config(component, workspace=workspace)
        assert isinstance(load_class(component["path"]), type)


@pytest.mark.parametrize(
    "path", ["subprocess.Popen", "fedefm.foundation.hospital.Hospital", "nvflare.app_common.np.np_trainer.NPTrainer"]
)
def test_flare_stops_any_other_class(path, workspace):
    with pytest.raises(UnsafeComponentError):
        ComponentPathAuthorizer().authorize_component_config({"path": path}, workspace=workspace)


def test_the_policy_names_exact_classes_or_packages_with_a_closing_dot():
    for entry in json.loads((POLICY / "resources.json").read_text())["class_allow_list"]:
        assert entry.endswith(".") or isinstance(load_class(entry), type)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_hospital_has_one_executor_for_whatever_stage_and_a_new_one_touches_no_config(job):
    (executor,) = json.loads((job / "app/config/config_fed_client.json").read_text())["executors"]
    router = TaskRouter()
    router.add_executor(executor["tasks"], executor)
    for stage in [*(stage.value for stage in Stage), "a-stage-of-tomorrow"]:
        assert router.route(stage) is executor
    assert not {stage.value for stage in Stage} & set(executor["tasks"])


def test_the_settings_of_the_job_are_valid_and_let_experts_travel():
    settings = load_settings(ROOT / "jobs/foundation/app/config/foundation.json")
    assert settings.rules.exchanges and settings.rules.travels
    assert settings.schedule.min_sites >= json.loads((ROOT / "jobs/foundation/meta.json").read_text())["min_clients"]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_hospital_asks_again_several_times_before_it_counts_as_lost(job):
    """A request that a cut link swallowed must not cost the whole time of a stage."""
    resources = json.loads((ROOT / "workspace_templates" / "hospital" / "local" / "resources.json").read_text())
    settings = [json.loads(path.read_text()) for path in job.glob("app*/config/*.json")]
    (stage_timeout,) = [plain["stage_timeout"] for plain in settings if "stage_timeout" in plain]
    assert resources["client"]["communication_timeout"] <= stage_timeout / 4
