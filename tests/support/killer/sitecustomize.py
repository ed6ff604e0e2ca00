"""Kills the process that starts with this folder in PYTHONPATH, at one of its operations on the rounds that it keeps.

`KILL_AT=before replace 3` is SIGKILL before the third file takes its place: it is written, and does not count.
"""

import os
import signal
from pathlib import Path
from typing import Any

WHEN, WHAT, NUMBER = (os.environ.get("KILL_AT") or "never replace 0").split()
REAL = getattr(Path, WHAT)
KEPT = (".safetensors", ".json")
seen = 0


def is_kept(path: Path) -> bool:
    """Whether this is a file of a kept round, or one that is about to take its place."""
    name = path.name.removesuffix(".part").lstrip(".")
    return ".rounds" in path.parts and "run.json" not in name and any(kind in name for kind in KEPT)


def strike(path: Path, *rest: Any, **more: Any) -> Any:
    global seen
    if not is_kept(path):
        return REAL(path, *rest, **more)
    seen += 1
    kill_if("before")
    result = REAL(path, *rest, **more)
    kill_if("after")
    return result


def kill_if(when: str) -> None:
    if (when, seen) == (WHEN, int(NUMBER)):
        os.kill(os.getpid(), signal.SIGKILL)


if WHEN != "never":
    setattr(Path, WHAT, strike)
