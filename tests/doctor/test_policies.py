"""What the doctor says of policy files: FLARE takes a missing policy for "all is allowed"."""

import copy
import json
from pathlib import Path

import pytest

from fedefm.doctor.finding import FAIL, PASS, WARN, Finding, guarded
from fedefm.doctor.policies import classes, job_guard, log_streaming, order_guard, rights, scopes, submitted_jobs
from fedefm.kits.kit import HOSPITAL, SERVER

TEMPLATES = Path(__file__).parents[2] / "workspace_templates"


def read(name: str, role: str = HOSPITAL) -> dict:
    return json.loads((TEMPLATES / role / "local" / name).read_text())


def status(found) -> list[str]:
    return sorted({one.status for one in found})


def test_our_own_templates_pass() -> None:
    resources = read("resources.json")
    for check, plain in (
        (rights, read("authorization.json")),
        (scopes, read("privacy.json")),
        (classes, resources),
        (log_streaming, resources),
        (job_guard, resources),
    ):
        assert status(check(plain)) == [PASS], check.__name__


@pytest.mark.parametrize("given", ["any", {"byoc": "any"}, {"any": "any"}, {"byoc": "o:site"}])
def test_a_role_that_may_bring_code_fails(given: object) -> None:
    plain = read("authorization.json")
    plain["permissions"]["lead"] = given
    assert FAIL in status(rights(plain))


@pytest.mark.parametrize("plain", [{}, {"permissions": {}}, {"permissions": []}])
def test_no_permissions_fail(plain: dict) -> None:
    assert status(rights(plain)) == [FAIL]


@pytest.mark.parametrize("entry", ["nvflare.", "nvflare", "torch.", "", "nvflare.app_common.", "subprocess.Popen"])
def test_a_broad_class_list_fails(entry: str) -> None:
    plain = read("resources.json")
    plain["class_allow_list"].append(entry)
    assert FAIL in status(classes(plain))


def test_a_class_that_is_not_needed_warns() -> None:
    plain = read("resources.json")
    plain["class_allow_list"].append("nvflare.app_common.np.np_trainer.NPTrainer")
    assert WARN in status(classes(plain))


def test_a_class_list_that_is_not_enforced_fails() -> None:
    for change in ({"class_list_enforcement_mode": "warn"}, {"class_allow_list": None}):
        assert status(classes(read("resources.json") | change)) == [FAIL]


def test_without_the_guard_or_with_log_streaming_it_fails() -> None:
    plain = read("resources.json")
    bare = copy.deepcopy(plain)
    bare["components"] = [one for one in plain["components"] if one.get("id") != "app_deployer"]
    assert status(job_guard(bare)) == [FAIL]
    assert status(log_streaming(plain | {"allow_log_streaming": True})) == [FAIL]


@pytest.mark.parametrize(("role", "found"), [(SERVER, FAIL), (HOSPITAL, WARN)])
def test_without_the_check_of_orders_a_server_does_not_start_and_a_hospital_is_told(role: str, found: str) -> None:
    plain = read("resources.json", role)
    assert status(order_guard(plain, role)) == [PASS]
    plain["components"] = [one for one in plain["components"] if one.get("id") != "order_guard"]
    assert status(order_guard(plain, role)) == [found]


def test_a_server_that_takes_jobs_with_code_does_not_start() -> None:
    plain = read("resources.json", SERVER)
    assert status(submitted_jobs(plain)) == [PASS]
    plain["components"] = [one for one in plain["components"] if one.get("id") != "job_manager"]
    assert status(submitted_jobs(plain)) == [FAIL]


def test_a_check_that_raises_is_a_fail_with_a_remedy() -> None:
    def broken() -> list[Finding]:
        raise OSError("disk")

    (found,) = guarded("disk", broken)
    assert found.status == FAIL and found.remedy


def test_a_fail_without_a_remedy_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="remedy"):
        Finding(FAIL, "disk", "full")
