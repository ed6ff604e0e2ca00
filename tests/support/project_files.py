"""Project files for tests: the shipped one, with changes."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "provisioning" / "project.local.yml"
CONSORTIUM = ROOT / "provisioning" / "project.yml"


def project(source=LOCAL):
    return yaml.safe_load(source.read_text())


def nvflare(*words, cwd):
    """Run `nvflare` as an administrator would, with a home folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "nvflare.cli", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"HOME": str(cwd)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def provision(folder, plain):
    """`nvflare provision` in a folder; the newest folder of kits, or None where it failed, and what it said."""
    (folder / "project.yml").write_text(yaml.safe_dump(plain))
    done = nvflare("provision", "--force", "-p", "project.yml", "-w", "ws", "-c", folder, cwd=folder)
    kits = sorted((folder / "ws" / plain["name"]).glob("prod_*"))
    return (kits[-1] if done.returncode == 0 else None), done.stdout + done.stderr
