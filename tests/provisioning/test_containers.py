"""Containers that cannot be built here are read: no root, no writable data, no version of its own. And the guides."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from fedefm.cli import build_parser

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "provisioning" / "container"
GUIDES = ["hospital-it", "consortium-admin", "policies", "deploy", "finetune"]


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


def test_the_image_takes_our_versions_and_ends_without_rights() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    assert any("-c /tmp/constraints.txt" in line for line in lines)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / source).exists() for source in shlex.split(line)[1:-1]), line


@pytest.mark.parametrize("guide", GUIDES)
def test_links_of_a_guide_lead_somewhere(guide: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "docs" / f"{guide}.md").read_text()):
        assert target.startswith("http") or (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("guide", ["../README", *[f"../docs/{name}" for name in GUIDES]])
def test_our_parser_takes_each_command_of_a_guide(guide: str) -> None:
    text = (FOLDER / "..").resolve().joinpath(f"{guide}.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^(?:\.venv/bin/)?fedefm [^\n#]+", text, re.MULTILINE)
    commands += re.findall(r"`(?:\.venv/bin/)?(fedefm [a-z]+ [^`]+)`", text)
    for command in commands:
        words = shlex.split(command.partition(" && ")[0])[1:]
        if len(words) > 1 and not words[-1].isupper():
            build_parser().parse_args(words)
