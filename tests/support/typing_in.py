"""Types the commands of a page into a shell, as whoever reads it does."""

import subprocess
from pathlib import Path

from fedefm.federation.place import environment

SECONDS = 300.0


def type_in(commands: str, folder: Path, code: int = 0) -> str:
    """Type commands, and give what they print; another exit code than this ends the test."""
    script = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(
        script,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == code, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
