"""The process of FLARE's simulator: started, followed line by line, and ended with all below it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

import psutil  # type: ignore[import-untyped]

from fedefm import errors
from fedefm.errors import FedefmError
from fedefm.exchange.events import Listener
from fedefm.flare.progress import FAILED, FINISHED, from_line, payload
from fedefm.flare.simulator import CLOSED, simulator_command

LOG_FILE = "simulator.log"
SCRATCH = "simulator"
GRACE_SECONDS = 20.0  # the simulator waits for ever for a hospital that hangs, also when the job is over


@dataclass
class Follower:
    """Reads the simulator's output line by line.

    Attributes:
        on_event: told every event.
        failure: kind and message of what ended the job, if something did.
        over: whether the job itself has ended.
        closed: whether FLARE has closed the job too, metric files included.
        last_error: FLARE's last line of level ERROR, without its time.
    """

    on_event: Listener
    failure: dict[str, str] = field(default_factory=dict)
    over: bool = False
    closed: bool = False
    last_error: str = ""

    def __call__(self, line: str) -> None:
        """Take one line."""
        event = from_line(line)
        if event is not None:
            self.on_event(event)
        failed = payload(line, FAILED)
        if failed and not self.failure:
            self.failure = failed
        if " ERROR " in line:
            self.last_error = line.partition(" ERROR ")[2].strip()[:200]
        self.over = self.over or bool(failed) or payload(line, FINISHED) is not None
        self.closed = self.closed or (self.over and CLOSED in line)


def failure(follower: Follower, code: int, log: Path) -> FedefmError:
    """The error that a failed run ends with."""
    if not follower.failure:
        reason = f": {follower.last_error}" if follower.last_error else ""
        return FedefmError(f"the simulator ended (exit code {code}) without a result{reason}; see {log}")
    kind = getattr(errors, follower.failure["kind"], FedefmError)
    return kind(f"{follower.failure['message']}; see {log}")


def environment(threads: int) -> dict[str, str]:
    """Few threads and few memory arenas a process: many processes share one machine."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | counts | {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


def run_job(
    job: Path, workspace: Path, sites: Iterable[str], *, threads: int, log: Path, on_event: Listener
) -> tuple[Follower, int]:
    """Run a job folder in a workspace that is ready.

    Args:
        job: FLARE job folder.
        workspace: of the simulator.
        sites: names of the hospitals.
        threads: CPU threads of each process.
        log: gets the simulator's output.
        on_event: told every event as it happens.

    Returns:
        What was heard of the job, and the simulator's exit code.
    """
    follower = Follower(on_event)
    command = simulator_command(job, workspace, sorted(sites))
    return follower, run_command(command, environment(threads), log, follower)


def run_command(command: list[str], variables: dict[str, str], log_file: Path, follower: Follower) -> int:
    """Run until FLARE has closed the job, or `GRACE_SECONDS` after its end; leaves no process behind on Ctrl-C."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("w") as log, _process(command, variables) as process:
        reaper: Timer | None = None
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            follower(line)
            if follower.over and reaper is None:
                reaper = Timer(GRACE_SECONDS, kill_tree, (process,))
                reaper.start()
            if follower.closed:
                break
        if reaper:
            reaper.cancel()
        return 0 if follower.closed else process.wait()


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 (our own interpreter and paths, no shell)
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_tree(process)
        if process.stdout:
            process.stdout.close()


def kill_tree(process: subprocess.Popen[str]) -> None:
    """End a process and all below it; FLARE starts each hospital in a session of its own, out of a group's reach."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def empty_scratch(out: Path) -> Path:
    """The folder for a simulator's files, empty; whatever is still at work in it is ended first.

    Processes are left behind where the command that started them was killed: they would write beside those of a new
    run. They are known by the path of this very folder in their command lines.
    """
    scratch = out / SCRATCH
    place = f"{scratch.resolve()}{os.sep}"
    for process in psutil.process_iter(["cmdline"]):
        if any(part.startswith(place) for part in process.info["cmdline"] or ()):
            with suppress(psutil.Error):
                process.kill()
                process.wait(GRACE_SECONDS)
    shutil.rmtree(scratch, ignore_errors=True)
    return scratch
