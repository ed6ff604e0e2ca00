"""Containers that cannot be built here are read: no root, no writable data, no version of its own."""

import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "provisioning" / "container"


def service(role: str) -> dict:
    (found,) = yaml.safe_load((FOLDER / f"compose.{role}.yml").read_text())["services"].values()
    return found


@pytest.mark.parametrize("role", ["server", "hospital"])
def test_a_service_has_no_rights_that_it_does_not_need(role: str) -> None:
    found = service(role)
    assert found["user"] == "10001:10001" and found["read_only"] and found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"] and "privileged" not in found


def test_a_hospital_opens_no_port_and_its_data_is_read_only() -> None:
    found = service("hospital")
    assert "ports" not in found
    assert [volume for volume in found["volumes"] if "/data" in volume and volume.endswith(":ro")]
    assert [volume for volume in found["volumes"] if volume.endswith(":/cache")]  # what is prepared of it


def test_the_image_takes_our_versions_and_ends_without_rights() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    assert any("-c /tmp/constraints.txt" in line for line in lines)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / source).exists() for source in shlex.split(line)[1:-1]), line
