"""A policy file is one line in one place, from the template to the doctor."""

import re
from pathlib import Path

import pytest

import fedefm
from fedefm.doctor.finding import FAIL
from fedefm.doctor.policies import policies
from fedefm.flare.server_config import FILE as SERVER_FILE
from fedefm.kits import policy_files
from fedefm.kits.kit import HOSPITAL, Kit
from fedefm.kits.lay import lay, tighten
from fedefm.resources import shipped
from fedefm.trust import KIT_ROLES, sign_folder, verify_folder
from support.consortium_certificates import Authority

THROW_AWAY = "quota.json"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A hospital's templates with one policy more."""
    folder = tmp_path / "template"
    lay(shipped("workspace_templates", "hospital"), folder, {})
    for path in folder.rglob("*.default"):
        path.unlink()
    (folder / "local" / THROW_AWAY).write_text("{}")
    return folder


def laid(template: Path, folder: Path) -> Kit:
    lay(template, folder, {})
    tighten(folder)
    return Kit(folder, HOSPITAL, "hospital-a", ())


def failures(kit: Kit) -> list[str]:
    return [one.text for one in policies(kit) if one.status == FAIL]


def test_one_line_lays_a_new_policy_twice_signs_it_and_makes_the_doctor_demand_it(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = laid(template, tmp_path / "before")
    assert not (before.local / f"{THROW_AWAY}.default").exists()

    monkeypatch.setattr(policy_files, "POLICIES", (*policy_files.POLICIES, THROW_AWAY))  # the one line
    kit, consortium = laid(template, tmp_path / "kit"), Authority()
    assert (kit.local / f"{THROW_AWAY}.default").read_text() == (kit.local / THROW_AWAY).read_text() == "{}"
    assert failures(kit) == []
    root, key = consortium.root.write(tmp_path / "root", "root")
    signed = sign_folder(kit.folder, root, key, kind="kit", subject=kit.name)
    assert {f"local/{THROW_AWAY}", f"local/{THROW_AWAY}.default"} <= {entry.path for entry in signed.files}
    verify_folder(kit.folder, root, kind="kit", subject=kit.name, roles=KIT_ROLES)
    (kit.local / THROW_AWAY).unlink()
    assert [text for text in failures(kit) if THROW_AWAY in text] == failures(kit) != []


def test_the_templates_hold_every_policy_and_no_other() -> None:
    for role in ("hospital", "server"):
        laid_down = {path.name for path in shipped("workspace_templates", role, "local").glob("*.json")}
        assert laid_down - {SERVER_FILE} == set(policy_files.POLICIES)


def test_no_other_module_lists_the_policies() -> None:
    """Three names close to each other are a list; one alone is a check of that file."""
    name = "|".join(re.escape(one) for one in policy_files.POLICIES)
    listed = re.compile(rf"((?:{name})[^\n]{{0,8}}\s+[^\n]{{0,8}}){{3}}")
    root = Path(fedefm.__file__).parent
    found = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if listed.search(path.read_text())]
    assert found == ["kits/policy_files.py"]
