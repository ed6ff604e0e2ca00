"""An environment of its own that holds one tool, what that tool says it needs, and nothing else: not this package.

Packages are linked from where the tests run, so nothing is fetched; what may be linked follows from the metadata of the
packages alone, as pip would install them.
"""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


class CleanRoom:
    """A virtual environment with some packages and what they need.

    Args:
        folder: a new one.
        tools: requirements, such as `monai`.
    """

    def __init__(self, folder: Path, *tools: str) -> None:
        venv.create(folder, symlinks=True, with_pip=False)
        self.python = folder / "bin" / "python"
        site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        for one in _needed(tools):
            _link(one, site)

    def run(self, *arguments: str, cwd: Path) -> str:
        """What a Python command prints; it must end well. No variable of the tests' environment reaches it."""
        done = subprocess.run(
            [str(self.python), "-I", *arguments],
            cwd=cwd,
            env={"PATH": os.defpath, "HOME": str(cwd), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def has(self, package: str, cwd: Path) -> bool:
        """Whether a package could be imported."""
        code = f"import importlib.util; print(importlib.util.find_spec({package!r}) is not None)"
        return self.run("-c", code, cwd=cwd).strip() == "True"


def _needed(tools: tuple[str, ...]) -> Iterator[Distribution]:
    seen: set[str] = set()
    waiting = [Requirement(tool) for tool in tools]
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name in seen or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            found = distribution(one.name)
        except PackageNotFoundError as error:
            raise AssertionError(f"{one.name} is not installed here; `make install` brings it") from error
        yield found
        waiting += [Requirement(text) for text in found.requires or ()]


def _link(one: Distribution, site: Path) -> None:
    """Link the files and folders that a package has at the top of site-packages, and those inside shared folders."""
    for file in one.files or ():
        source = Path(str(one.locate_file(file)))
        if ".." in file.parts or file.parts[0] == "__pycache__" or not source.exists():
            continue
        target = site / file
        if any(parent.is_symlink() for parent in target.parents):
            continue
        whole = source.parents[len(file.parts) - 2] if len(file.parts) > 1 else source
        if len(file.parts) > 1 and _belongs_to(one, whole):
            target, source = site / file.parts[0], whole
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)


def _belongs_to(one: Distribution, folder: Path) -> bool:
    """Whether a folder holds the package's files alone: a package, no namespace that several share."""
    return folder.name.endswith((".dist-info", ".libs")) or (folder / "__init__.py").exists()
