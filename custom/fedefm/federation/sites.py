"""The server's and the hospitals' processes, started from their kits as their owners would."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from fedefm.errors import FedefmError
from fedefm.federation.place import Place, environment
from fedefm.kits.kit import CONSOLE, LOCAL, LOG, REGISTERED, STARTUP
from fedefm.simulation.process import kill_tree

START_SECONDS = 120.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2

Process = subprocess.Popen[bytes]


@contextmanager
def running(place: Place, folders: Mapping[str, Path]) -> Iterator[dict[str, Process]]:
    """Server and hospitals, ready for jobs; at the end of the block none of their processes is left.

    Args:
        place: provisioned kits.
        folders: data folder of each hospital that takes part, by its name.

    Yields:
        The top process of each, by name.

    Raises:
        FedefmError: one did not start; the message names its log.
    """
    for name, folder in folders.items():
        write_site_config(place.kit(name), folder)
    with ExitStack() as stack:
        processes = {place.server: stack.enter_context(site_process(place.kit(place.server)))}
        wait_until(lambda: listens(place.fl_port) and listens(place.admin_port), processes, place, "listen")
        for name in sorted(folders):
            processes[name] = stack.enter_context(site_process(place.kit(name)))
        for name in sorted(folders):
            wait_until(lambda name=name: registered(place.kit(name)), processes, place, "register")  # type: ignore[misc]
        yield processes


def write_site_config(kit: Path, data: Path) -> None:
    """What a hospital writes itself: where its data lies, and how it works."""
    plain = {"data": str(data.resolve()), "device": "cpu", "threads": 1, "least_images": 1}  # images are synthetic
    path = kit / LOCAL / "fedefm_site.json"
    path.write_text(json.dumps(plain) + "\n")
    path.chmod(0o600)


@contextmanager
def site_process(kit: Path, script: str = "start.sh") -> Iterator[Process]:
    """One site, in the foreground of a session of its own; in the end it is asked to stop, then killed with all below.

    Args:
        kit: its kit.
        script: the file of its `startup` folder that is run; FLARE's own `sub_start.sh` checks nothing.
    """
    with (kit / CONSOLE).open("wb") as console:
        process = subprocess.Popen(  # noqa: S603 (our own kit, no shell)
            [str(kit / STARTUP / script), "--once"],
            env=environment(),
            cwd=kit,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    """Ask a site to stop, wait, then end what is left of it."""
    family = family_of(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    kill_tree(process)  # type: ignore[arg-type]


def family_of(pid: int) -> list[psutil.Process]:
    """A process's descendants, while it still has them."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def job_process(process: Process) -> psutil.Process | None:
    """The job process that a site runs at the moment."""
    for member in family_of(process.pid):
        with suppress(psutil.Error):
            if any(part.endswith(("worker_process", "runner_process")) for part in member.cmdline()):
                return member
    return None


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback."""
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


def registered(kit: Path) -> bool:
    """Whether a hospital's own log says that the server took it in."""
    log = kit / LOG
    return log.is_file() and REGISTERED in log.read_text(errors="replace")


def wait_until(ready: Callable[[], bool], processes: Mapping[str, Process], place: Place, what: str) -> None:
    """Poll until `ready()`.

    Raises:
        FedefmError: a process ended, or time is up.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        for name, process in processes.items():
            if process.poll() is not None:
                raise FedefmError(f"{name}: ended (exit code {process.returncode}); see {place.kit(name) / CONSOLE}")
        if time.monotonic() > deadline:
            raise FedefmError(f"the federation did not {what} within {START_SECONDS:g} s; see the logs in {place.kits}")
        time.sleep(POLL_SECONDS)
