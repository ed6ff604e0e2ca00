"""The `nvflare` command of one person of the consortium, called by a program that reads its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import FedefmError
from fedefm.federation.place import environment
from fedefm.simulation.process import kill_tree

CALL_SECONDS = 240.0  # FLARE's own command takes a minute to load on a busy machine
PATIENCE = ("--connect-timeout", "30")  # FLARE's 5 s are too few for a server that is busy
COMPLETED = "FINISHED:COMPLETED"  # FLARE's status of a job that ended well
ABANDONED = "FINISHED:ABANDONED"  # of one whose server was killed
_NVFLARE = (sys.executable, "-m", "nvflare.cli", *PATIENCE, "--format")


@dataclass(frozen=True)
class Console:
    """Calls `nvflare` with one person's kit.

    Attributes:
        kit: folder of the person's kit.
    """

    kit: Path

    def call(self, *words: str, seconds: float = CALL_SECONDS) -> Any:
        """Run one command, and give the value that it prints as JSON.

        Raises:
            FedefmError: it failed or did not end in time; the message says what it printed.
        """
        try:
            done = subprocess.run(  # noqa: S603 (our own interpreter and paths, no shell)
                [*_NVFLARE, "json", *words, "--startup-kit", str(self.kit)],
                env=environment(),
                cwd=self.kit,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise FedefmError(f"nvflare {' '.join(words[:2])}: no answer within {seconds:g} s") from error
        value = _json(done.stdout)
        if done.returncode != 0 or not isinstance(value, dict) or value.get("status") not in ("ok", "success"):
            raise FedefmError(f"nvflare {' '.join(words[:2])} failed: {_reason(value, done.stdout + done.stderr)}")
        return value.get("data", value)

    def submit(self, job: Path) -> str:
        """Submit a job folder, and give its id."""
        return str(self.call("job", "submit", "-j", str(job))["job_id"])

    def status_of(self, job_id: str) -> str:
        """FLARE's status of a job.

        Raises:
            FedefmError: the server has no such job.
        """
        for one in self.call("job", "list"):
            if one["job_id"] == job_id:
                return str(one["status"])
        raise FedefmError(f"job {job_id}: the server has none of this id")

    def hospitals(self) -> set[str]:
        """Hospitals that the server has at this moment; FLARE takes having none for an error."""
        with suppress(FedefmError):
            return {str(one["client_name"]) for one in self.call("system", "status")["clients"]}
        return set()

    def watch(self, job_id: str, tick: Callable[[], None], seconds: float) -> str:
        """Wait for a job's end with one `nvflare job monitor`, calling `tick` meanwhile; gives FLARE's status of it.

        Raises:
            FedefmError: the job did not end within `seconds`; stopping it is left to the caller.
        """
        options = ["--timeout", str(int(seconds)), "--interval", "2", "--startup-kit", str(self.kit)]
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(  # noqa: S603 (our own interpreter and paths, no shell)
                [*_NVFLARE, "jsonl", "job", "monitor", job_id, *options],
                env=environment(),
                cwd=self.kit,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            try:
                _poll(process, tick, seconds)
            finally:
                kill_tree(process)
            output.seek(0)
            text = output.read()
        ends = [event for event in map(_json, text.splitlines()) if isinstance(event, dict) and event.get("terminal")]
        if not ends or ends[-1]["status"] == "TIMEOUT":
            raise FedefmError(f"job {job_id}: did not end within {seconds:g} s: {text.strip()[-300:]}")
        return str(ends[-1]["job_status"])

    def download(self, job_id: str, folder: Path) -> Path:
        """Download what a job left at the server, and give the folder that holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.call("job", "download", job_id, "-o", str(folder))
        return folder / job_id


def _poll(process: subprocess.Popen[str], tick: Callable[[], None], seconds: float) -> None:
    deadline = time.monotonic() + seconds + CALL_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        tick()
        time.sleep(0.2)


def _json(text: str) -> Any:
    """The last JSON value of an output; FLARE prints notes before it."""
    for begin in (i for i, letter in enumerate(text) if letter == "{"):
        try:
            return json.loads(text[begin:])
        except ValueError:
            continue
    return None


def _reason(value: Any, text: str) -> str:
    parts = [str(value[key]) for key in ("message", "hint", "data") if isinstance(value, dict) and value.get(key)]
    return ("; ".join(parts) or text.strip() or "no output")[-600:]
