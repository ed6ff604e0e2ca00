"""A whole federation on one machine: prepares a workspace, starts `nvflare simulator`, and collects what it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import psutil  # type: ignore[import-untyped]

from fedefm import errors
from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Listener
from fedefm.exchange.messages import RESERVED
from fedefm.exchange.record import RECORD_FILE
from fedefm.flare.progress import FAILED, FINISHED, from_line, payload
from fedefm.models.checkpoint import load_weights
from fedefm.resources import shipped
from fedefm.training.settings import Settings

JOB = "foundation"
FOUNDATION = shipped("jobs", JOB)
LOG_FILE = "simulator.log"
SCRATCH = "simulator"
GRACE_SECONDS = 20.0  # the simulator waits for ever for a hospital that hangs, also when the job is over
CLOSED = "Server runner finished"  # FLARE's line when the job and all its widgets are done; the rest is idle waiting
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_RESERVED = ("server", "all", "simulator", "local", "startup", *RESERVED)


def simulate(
    settings: Settings,
    folders: Mapping[str, Path],
    out: Path,
    *,
    threads: int = 1,
    device: str = "cpu",
    job: Path = FOUNDATION,
    on_event: Listener = lambda event: None,
    keep_workspace: bool = False,
) -> dict[str, Any]:
    """Run a job in FLARE's simulator with one process a hospital.

    Args:
        settings: the job.
        folders: data folder of every hospital, by its name.
        out: folder for `theta.safetensors`, `models/`, `record.json`, `tb_events/` and the log.
        threads: CPU threads of each hospital.
        device: torch device of all hospitals.
        job: FLARE job folder to run with these settings.
        on_event: told every event as it happens.
        keep_workspace: leave FLARE's workspace under `out/simulator`; it stays after a failure in any case.

    Returns:
        The content of `record.json`; the paths in it are relative to `out`.

    Raises:
        ConfigError: a wrong site name, a missing data folder, `out` already holds a run, or the method pools images.
        FedefmError: the run failed; the message says why and names the log.
    """
    if settings.schedule.rules.pooled:
        raise ConfigError(f"'{settings.schedule.method}' needs all images in one process; run it with --in-process")
    check_site_names(folders)
    check_out(out)
    scratch = out / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    copy, workspace = scratch / JOB, scratch / "workspace"
    write_job(copy, settings, job)
    write_workspace(workspace, folders, threads=threads, device=device)
    command = simulator_command(copy, workspace, sorted(folders))
    follower = Follower(on_event)
    code = run_command(command, environment(threads), out / LOG_FILE, follower)
    record = collect(workspace / "server" / "simulate_job" / JOB, out, follower, code)
    if not keep_workspace:
        shutil.rmtree(scratch, ignore_errors=True)
    return record


def check_site_names(folders: Mapping[str, Path]) -> None:
    """Refuse names that FLARE cannot carry, and folders that are not there.

    Raises:
        ConfigError: no site, a wrong name, two names that differ in case only, or a missing folder.
    """
    if not folders:
        raise ConfigError("no hospital: name at least one data folder")
    for name, folder in folders.items():
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise ConfigError(
                f"site name '{name[:80]}': use letters, digits, '-' and '_', and none of FLARE's own names"
            )
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; give the data folder of '{name}'")
    if len({name.lower() for name in folders}) != len(folders):
        raise ConfigError("two site names differ in upper and lower case only; give each its own")


def check_out(out: Path, names: Sequence[str] = ("theta.safetensors", RECORD_FILE, "models", "report.json")) -> None:
    """Refuse a folder that already holds a run, by the names of what one leaves.

    Raises:
        ConfigError: it does, or it is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; name a new folder for the results")
    if any((out / name).exists() for name in names):
        raise ConfigError(f"{out}: already holds a run; choose another folder or move it away")


def write_job(job: Path, settings: Settings, source: Path = FOUNDATION) -> None:
    """A job folder with these settings in it, and a graph file that they name by path beside them."""
    shutil.copytree(source, job)
    config = job / "app" / "config"
    plain = settings.to_dict()
    if Path(settings.topology).is_file():
        shutil.copy(settings.topology, config)
        plain["topology"] = Path(settings.topology).name
    (config / "foundation.json").write_text(json.dumps(plain, indent=2) + "\n")
    meta = json.loads((job / "meta.json").read_text()) | {"min_clients": settings.schedule.min_sites}
    (job / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")


def write_workspace(workspace: Path, folders: Mapping[str, Path], *, threads: int, device: str, **limits: int) -> None:
    """The simulator's policy, and what each hospital would write into its own `local` folder, `limits` included."""
    local = workspace / "local"
    shutil.copytree(shipped("workspace_templates", "simulator", "local"), local)
    for site, folder in folders.items():
        plain = {"data": str(folder.resolve()), "device": device, "threads": threads, **limits}
        (local / f"fedefm_site.{site}.json").write_text(json.dumps(plain) + "\n")


def simulator_command(job: Path, workspace: Path, sites: list[str]) -> list[str]:
    """The command line; as many threads as sites, else FLARE replaces a hospital's process after each task."""
    places = ["-w", str(workspace.resolve()), "-l", str(workspace.resolve() / "local" / "log_config.json")]
    crowd = ["-c", ",".join(sites), "-t", str(len(sites)), "-m", str(max(100, len(sites)))]
    return [sys.executable, "-m", "nvflare.cli", "simulator", *places, *crowd, str(job.resolve())]


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


def collect(results: Path, out: Path, follower: Follower, code: int) -> dict[str, Any]:
    """Move a run's results into `out`, Theta last, and read its record.

    Raises:
        FedefmError: there is no complete result; of the kind that ended the job where it told.
    """
    record_file = results / RECORD_FILE
    record = json.loads(record_file.read_text()) if record_file.is_file() and not follower.failure else None
    theta = record and record.get("theta")
    if record is None or (theta and not (results / theta["path"]).is_file()):
        raise failure(follower, code, out / LOG_FILE)
    out.mkdir(parents=True, exist_ok=True)
    if (results / "models").is_dir():
        shutil.move(results / "models", out / "models")
    events = results.parent / "tb_events"
    if events.is_dir():
        shutil.copytree(events, out / "tb_events", dirs_exist_ok=True)
    shutil.move(record_file, out / RECORD_FILE)
    if theta:
        shutil.move(results / theta["path"], out / theta["path"])
        _must_match(out / theta["path"], theta["sha256"])
    return record


def failure(follower: Follower, code: int, log: Path) -> FedefmError:
    """The error that a failed run ends with."""
    if not follower.failure:
        reason = f": {follower.last_error}" if follower.last_error else ""
        return FedefmError(f"the simulator ended (exit code {code}) without a result{reason}; see {log}")
    kind = getattr(errors, follower.failure["kind"], FedefmError)
    return kind(f"{follower.failure['message']}; see {log}")


def _must_match(path: Path, sha256: str) -> None:
    if load_weights(path).sha256 != sha256:
        raise FedefmError(f"{path}: is not what the record names; run again")


def environment(threads: int) -> dict[str, str]:
    """Few threads and few memory arenas a process: many processes share one machine."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | counts | {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


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
