"""The limits of jobs and models stand in a signed policy of the kit."""

import json
from pathlib import Path

import pytest

from fedefm.errors import ConfigError
from fedefm.kits.limits import LIMITS_FILE, read_limits
from fedefm.resources import shipped
from fedefm.trust import Limits
from fedefm.trust.kinds import JOB, MODEL


@pytest.mark.parametrize("role", ["hospital", "server"])
def test_the_shipped_policy_says_what_holds_without_one(role: str, tmp_path: Path) -> None:
    local = shipped("workspace_templates", role, "local")
    assert (local / LIMITS_FILE).is_file() and not (tmp_path / LIMITS_FILE).exists()
    assert read_limits(local) == read_limits(tmp_path) == {"job": JOB.limits, "model": MODEL.limits}


def test_a_consortium_may_set_its_own(tmp_path: Path) -> None:
    plain = {"job": {"files": 10, "megabytes": 1}, "model": {"files": 3, "megabytes": 2000}}
    (tmp_path / LIMITS_FILE).write_text(json.dumps(plain))
    assert read_limits(tmp_path) == {"job": Limits(10, 1_000_000), "model": Limits(3, 2_000_000_000)}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"job": {"files": 1, "megabytes": 1}}',
        '{"job": {"files": 1, "megabytes": 1}, "model": {"files": 1, "megabytes": 0}}',
        '{"job": {"files": 1, "megabytes": 1}, "model": {"files": 99999, "megabytes": 1}}',
        '{"job": {"files": 1, "megabytes": 1}, "model": {"files": true, "megabytes": 1}}',
    ],
)
def test_a_broken_policy_is_no_policy_and_no_default(text: str, tmp_path: Path) -> None:
    (tmp_path / LIMITS_FILE).write_text(text)
    with pytest.raises(ConfigError, match=LIMITS_FILE):
        read_limits(tmp_path)
