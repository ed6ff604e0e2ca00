"""The process of FLARE's simulator: started, followed line by line, and ended with all below it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from threading import Thread, Timer

import psutil  # type: ignore[import-untyped]

from fedefm.errors import FedefmError, visible
from fedefm.exchange.events import Listener
from fedefm.files import refused_write, system_error
from fedefm.flare.progress import failure_in, from_line, is_finished
from fedefm.flare.simulated_sites import lives, site_of
from fedefm.flare.simulator import CLOSED, simulator_command

LOG_FILE = "simulator.log"
SCRATCH = "simulator"
WATCH_SECONDS = 1.0  # between two looks at the simulator's processes
END_SECONDS = 10.0  # a simulator whose server is gone ends by itself within this time, or hangs
FIRST_SIGNAL = 128  # exit codes from here on say that a signal ended a process
GRACE_SECONDS = 20.0  # the simulator waits for ever for a hospital that hangs, also when the job is over


@dataclass
class Follower:
    """Reads the simulator's output line by line.

    Attributes:
        on_event: told every event.
        failure: what ended the job, if something did.
        over: whether the job itself has ended.
        closed: whether FLARE has closed the job too, metric files included.
        last_error: FLARE's last line of level ERROR, without its time.
        refused: the first refusal of the system to write that some process told.
        orphaned: whether the server's process was gone before the job was over.
    """

    on_event: Listener
    failure: FedefmError | None = None
    over: bool = False
    closed: bool = False
    last_error: str = ""
    refused: OSError | None = None
    orphaned: bool = False

    def __call__(self, line: str) -> None:
        """Take one line."""
        event = from_line(line)
        if event is not None:
            self.on_event(event)
        failed = failure_in(line)
        self.failure = self.failure or failed
        self.refused = self.refused or system_error(line)
        if " ERROR " in line:
            self.last_error = visible(line.partition(" ERROR ")[2].strip())[:200]
        self.over = self.over or failed is not None or is_finished(line)
        self.closed = self.closed or (self.over and CLOSED in line)


def failure(follower: Follower, code: int, log: Path) -> FedefmError:
    """The error that a failed run ends with; a full disk is told as such, whatever it made a process say."""
    if follower.refused is not None:
        return refused_write(follower.refused, log.parent)
    if follower.orphaned and follower.failure is None:
        return FedefmError(
            f"the simulator's server process was killed, perhaps for want of memory; nothing is published; see {log}"
        )
    if follower.failure is None:
        reason = f": {follower.last_error}" if follower.last_error else ""
        return FedefmError(f"the simulator ended (exit code {code}) without a result{reason}; see {log}")
    return type(follower.failure)(f"{follower.failure}; see {log}")


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
    with log_file.open("w") as log, _process(command, variables) as process, _watch(process, follower):
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
        if follower.closed:
            return 0
        code = process.wait()
    follower.orphaned |= not follower.over and _is_signal(code)  # its end may be seen here before the watch looks again
    return code


@contextmanager
def _watch(process: subprocess.Popen[str], follower: Follower) -> Iterator[None]:
    """Look after the simulator's processes while its output is read.

    Hospitals outlive a server that is killed, hold its output open and wait for it: whoever reads would wait too.
    """
    over = Flag()
    thread = Thread(target=_watch_until, args=(over, process, follower), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch_until(over: Flag, process: subprocess.Popen[str], follower: Follower) -> None:
    """Kill what is left once the server's process, or the simulator's own, is gone."""
    family: set[psutil.Process] = set()
    server: psutil.Process | None = None
    while not over.wait(WATCH_SECONDS):
        if process.poll() is not None or (server is not None and not lives(server)):
            follower.orphaned = not follower.over and _was_killed(process)
            _kill(family)
            return
        with suppress(psutil.Error):
            family |= set(psutil.Process(process.pid).children(recursive=True))
            server = server or next((member.parent() for member in family if site_of(member)), None)


def _was_killed(process: subprocess.Popen[str]) -> bool:
    """Whether a simulator whose server is gone was ended by a signal, or does not end by itself."""
    try:
        return _is_signal(process.wait(END_SECONDS))
    except subprocess.TimeoutExpired:
        return True


def _is_signal(code: int) -> bool:
    """Whether an exit code tells of a signal; FLARE gives the server's number as its own."""
    return code < 0 or code >= FIRST_SIGNAL


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
    _kill(family)
    process.wait()


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


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
