"""Our image, from our Dockerfile: a base without a registry, a wheel house, and what of both is kept for next time.

Kept in the cache folder: the base system, the wheels, and the image of all packages but ours, which is named for their
hashes. Made anew each time: our wheel, the wheel house with it, and the image.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from support.boxes.podman import Podman

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "provisioning" / "container" / "Dockerfile"
BASE = "localhost/kept-base:bookworm"
INCLUDE = "python3,python3-venv,ca-certificates"
OURS = "fedefm=="
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


def image(podman: Podman, folder: Path) -> tuple[str, Path]:
    """Name of an image of this checkout, and the wheel house that it was built from.

    Args:
        podman: the engine.
        folder: for our wheel and the wheel house.
    """
    house = wheel_house(podman.folder / "wheels", folder)
    others = "".join(line for line in (house / "requirements.txt").open() if line[0] != "#" and OURS not in line)
    packages = f"localhost/kept-packages:{hashlib.sha256((others + first_stage()).encode()).hexdigest()[:16]}"
    if not podman.has_image(packages):
        base(podman)
        podman.build(house, DOCKERFILE, packages, "--target", "packages", "--build-arg", f"BASE={BASE}")
    name = f"localhost/{podman.tag}:1"
    podman.build(house, DOCKERFILE, name, "--build-arg", f"PACKAGES={packages}")
    return name, house


def first_stage() -> str:
    """The part of the Dockerfile that the image of packages is made from."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    return text.partition("FROM ${PACKAGES}")[0]


def wheel_house(kept: Path, folder: Path) -> Path:
    """A wheel house of this checkout, made by the command that the pages name; the registry is asked once."""
    (folder / "dist").mkdir()
    said = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder / "dist")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    program = folder / "dist" / said.stdout.splitlines()[-1]
    pack = [sys.executable, "-m", "fedefm.cli", "wheels", str(folder / "wheels"), "--program", str(program)]
    offline = kept.is_dir() and subprocess.run([*pack, "--from", str(kept)], cwd=ROOT, check=False).returncode == 0
    if not offline:
        subprocess.run(pack, cwd=ROOT, check=True)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for wheel in (folder / "wheels").glob("*.whl"):
            if wheel.name != program.name:
                shutil.copy(wheel, kept)
    return folder / "wheels"


def base(podman: Podman) -> None:
    """Debian with Python, from Debian's own packages: what stands for the public image where no registry is reached."""
    if podman.has_image(BASE):
        return
    system, archive = podman.folder / "system", podman.folder / "system.tar"
    if not archive.is_file():
        shutil.rmtree(system, ignore_errors=True)
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", "bookworm", str(system)]
        subprocess.run(bootstrap, check=True, capture_output=True, timeout=1200)
        part = archive.with_suffix(".part")
        subprocess.run(["tar", "-C", str(system), "-c", "-f", str(part), "."], check=True)
        part.rename(archive)
        shutil.rmtree(system)
    podman("import", str(archive), BASE, seconds=600)
