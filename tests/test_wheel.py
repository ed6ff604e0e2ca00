"""The wheel: what it holds, and that it works where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
FOLDERS = ("jobs", "workspace_templates", "provisioning")
EVERY_NAME = "import fedefm; fedefm.load; [getattr(fedefm, name) for name in fedefm.__all__]; print(fedefm.__file__)"
NO_BENCHMARK = "from importlib.util import find_spec; print(find_spec('benchmarks'), find_spec('fedefm.benchmark'))"
SHIPPED = "from fedefm.resources import shipped; print(shipped('jobs', 'foundation'))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    said = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / said.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, and the packages of this one beside it; its commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    words = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True, env=_plain())
    own = Path(sysconfig.get_paths(vars={"base": str(folder)})["purelib"])
    (own / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")  # its own .pth files are not followed
    return folder / "bin"


def _plain() -> dict[str, str]:
    """This environment without what would lead to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=_plain(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_and_the_shipped_folders_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"fedefm", wheel.name.split("-py3")[0] + ".dist-info"}
    assert not [name for name in names if {"benchmark", "benchmarks", "tests", "examples"} & set(name.split("/"))]
    assert not [name for name in names if name.endswith(".pyc")]
    assert "fedefm/py.typed" in names
    sources = {path.relative_to(ROOT / "custom").as_posix() for path in (ROOT / "custom" / "fedefm").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py") and "/shipped/" not in name}
    for folder in FOLDERS:
        there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        wanted = {f"fedefm/shipped/{name}" for name in there if "__pycache__" not in name}
        assert wanted and wanted == {name for name in names if name.startswith(f"fedefm/shipped/{folder}/")}


def test_the_command_answers_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    assert "simulate" in _run([str(installed / "fedefm"), "--help"], tmp_path)
    assert _run([str(installed / "fedefm"), "--version"], tmp_path).startswith("fedefm ")


def test_the_public_face_is_there_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    python = str(installed / "python")
    assert Path(_run([python, "-c", EVERY_NAME], tmp_path).strip()).is_relative_to(installed.parent)
    assert Path(_run([python, "-c", SHIPPED], tmp_path).strip()).is_relative_to(installed.parent)
    assert _run([python, "-c", NO_BENCHMARK], tmp_path).split() == ["None", "None"]
