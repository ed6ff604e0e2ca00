"""A wheel house, packed and installed from by the real pip: three empty wheels stand for the program."""

import hashlib
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, FedefmError
from fedefm.kits.wheel_house import CONSTRAINTS, LIST, listed, pack


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """A wheel with one module, which holds its version."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {need}\n" for need in needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(file, text)
    return path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Needs `middle`, which needs `inner`; of the latter there are two versions, and one is tested."""
    shelf = tmp_path / "shelf"
    for version in ("1.0", "2.0"):
        wheel(shelf, "inner", version)
    wheel(shelf, "middle", "1.0", "inner")
    (tmp_path / "constraints.txt").write_text("inner==1.0\n")
    return wheel(tmp_path / "dist", "fedefm", "0.1.0", "middle>=1")


def install(house: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """As the page for a hospital's IT says, into a new environment."""
    venv.create(folder, symlinks=True)
    words = ["install", "--no-index", "--find-links", house, "--require-hashes", "-r", house / LIST]
    command = [sys.executable, "-m", "pip", "--isolated", "--python", folder / "bin" / "python", *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def test_it_holds_the_tested_versions_and_installs_without_a_registry(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    house = tmp_path / "wheels"
    words = ["wheels", str(house), "--program", str(program), "--from", str(tmp_path / "shelf")]
    assert main([*words, "--constraints", str(tmp_path / "constraints.txt")]) == 0
    said = capfd.readouterr().out
    assert "3 packages" in said and hashlib.sha256((house / LIST).read_bytes()).hexdigest() in said
    names = {path.name for path in house.iterdir()}
    assert names == {program.name, "middle-1.0-py3-none-any.whl", "inner-1.0-py3-none-any.whl", LIST, CONSTRAINTS}
    done = install(house, tmp_path / "environment")
    assert done.returncode == 0, done.stderr
    python = tmp_path / "environment" / "bin" / "python"
    shown = subprocess.run(
        [python, "-c", "import fedefm, inner; print(fedefm.version, inner.version)"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert shown.stdout.split() == ["0.1.0", "1.0"]


def test_a_wheel_that_was_changed_on_its_way_is_not_installed(program: Path, tmp_path: Path) -> None:
    house = pack(tmp_path / "wheels", program, tmp_path / "constraints.txt", tmp_path / "shelf").folder
    (house / "inner-1.0-py3-none-any.whl").unlink()
    wheel(house, "inner", "1.0", "os; python_version < '3'")
    done = install(house, tmp_path / "environment")
    assert done.returncode != 0 and "DO NOT MATCH THE HASHES" in done.stderr


def test_what_pip_cannot_find_is_named_and_nothing_is_left(program: Path, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        (tmp_path / "shelf" / f"inner-{version}-py3-none-any.whl").unlink()
    with pytest.raises(FedefmError, match=r"pip could not gather the packages .no fitting wheel of inner.*--from"):
        pack(tmp_path / "wheels", program, tmp_path / "constraints.txt", tmp_path / "shelf")
    assert not (tmp_path / "wheels").exists()


def test_what_is_not_our_program_is_refused(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "shelf" / "middle-1.0-py3-none-any.whl"
    for wrong, why in ((other, "not the wheel of fedefm"), (tmp_path / "none.whl", "is not there")):
        with pytest.raises(ConfigError, match=why):
            pack(tmp_path / "wheels", wrong, tmp_path / "constraints.txt")
    odd = tmp_path / "fedefm.whl"
    odd.touch()
    with pytest.raises(ConfigError, match="not the name of a wheel"):
        pack(tmp_path / "wheels", odd, tmp_path / "constraints.txt")


def test_two_versions_of_a_package_are_refused(program: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a second wheel of inner"):
        listed(sorted((tmp_path / "shelf").iterdir()))
