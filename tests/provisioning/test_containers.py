"""Container files are read: no root, no writable data, no version of its own. `make containers` runs them."""

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
    lines = (FOLDER / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    installs = [part for line in lines for part in line.split("&&") if "pip install" in part]
    assert len(installs) == 2
    assert all("--no-index" in part and "--require-hashes" in part for part in installs)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert not [line for line in lines if line.startswith(("COPY ", "ADD "))]
