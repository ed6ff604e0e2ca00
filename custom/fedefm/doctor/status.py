"""How a site is on a Tuesday: does it run, is it connected, what did it do last, how long is its certificate good.

What runs is read from the system's list of processes. FLARE's own files (`daemon_pid.fl`, `pid.fl`) hold numbers that
may be those of other programs after a restart of the machine: FLARE then believes that it runs, and starts nothing.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from fedefm.doctor.proxy import proxy_for
from fedefm.errors import ConfigError, FedefmError, visible
from fedefm.kits.kit import (
    CONSOLE,
    LOG,
    PERSON,
    REGISTERED,
    REJECTED,
    SENT_AWAY,
    SERVER,
    STARTUP,
    UNANSWERED,
    Kit,
    read_object,
)
from fedefm.kits.slurm import read_slurm
from fedefm.trust.certificates import WARN_BEFORE, load_certificate, utc_now
from fedefm.trust.job_ledger import JobLedger
from fedefm.trust.ledger import OUTBOX, Ledger, Line
from fedefm.trust.revoked import EVENT as DENY_LIST

OK, WARNING, CRITICAL = 0, 1, 2
"""Exit codes, as Nagios, Icinga and their like read them."""
NUMBERS = ("daemon_pid.fl", "pid.fl")
_TAIL = 4_000_000
_UNHEARD = (  # FLARE tries again after 5 s where a heartbeat is refused, and after 40 s where it is not answered
    (
        SENT_AWAY,
        15.0,
        "the server sends it away: it is suspended, or its certificate was revoked; ask the consortium's administrator,"
        " and leave it running: let in again it is back",
    ),
    (
        UNANSWERED,
        60.0,
        "the server answers no heartbeat: its kit was renewed, or it is overloaded; run startup/stop_fl.sh and"
        " startup/start.sh",
    ),
)
_START_SECONDS = 15.0
_WHEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True)
class Status:
    """What was found; see `line` for the words.

    Attributes:
        name: of the participant.
        role: `hospital` or `server`.
        process: number of its process; None where none runs.
        since: when that was started, in local time.
        connected: a hospital with the server, or a server that listens.
        registered: when a hospital was last taken in by the server, in local time; None where its log does not say.
        job: the last line of the ledger of jobs; None where there is none.
        sent: number of messages that left so far; None where the ledger is damaged.
        certificate_days: until the end of its certificate.
        problems: what is wrong, each with what to do; the ones that stop it first.
        code: `OK`, `WARNING` or `CRITICAL`.
    """

    name: str
    role: str
    process: int | None
    since: str | None
    connected: bool
    registered: str | None
    job: dict[str, Any] | None
    sent: int | None
    certificate_days: int
    problems: tuple[str, ...]
    code: int


def status_of(kit: Kit, now: datetime | None = None) -> Status:
    """Look at a site.

    Raises:
        ConfigError: the kit is a person's, or cannot be read.
    """
    if kit.role == PERSON:
        raise ConfigError(f"{kit.folder}: no site's kit, nothing runs from it; name a hospital's or the server's")
    process, connected = _reached(kit)
    since = datetime.fromtimestamp(process.create_time()) if process else None
    registered = _last_registered(kit.folder)
    critical: list[str] = []
    warning: list[str] = []
    left = load_certificate(kit.certificate).not_valid_after_utc - (now or utc_now())
    if process is None and (refusal := _rejected(kit.folder)):
        critical.append(f"nothing runs: {refusal}, and once it is let in again run startup/start.sh")
    elif process is None:
        critical.append("nothing runs; run startup/start.sh")
    elif not connected and kit.role != SERVER and (unheard := _unheard(kit.folder)):
        critical.append(unheard)
    elif not connected:
        remedy = "see console.txt" if kit.role == SERVER else "run fedefm doctor, which tries to reach the server"
        critical.append(f"{'does not listen' if kit.role == SERVER else 'not connected to the server'}; {remedy}")
    if left.total_seconds() < 0:
        critical.append("the certificate is over; ask the consortium for a new kit")
    elif left < WARN_BEFORE:
        warning.append(f"the certificate ends in {left.days} days; ask the consortium to renew it")
    job: Line | None = None
    sent: int | None = None
    try:
        job = next((line for line in reversed(JobLedger(kit.folder).read()) if line["event"] != DENY_LIST), None)
        sent = len(Ledger(kit.folder, OUTBOX).read())
    except FedefmError as error:
        critical.append(str(error))
    return Status(
        name=kit.name,
        role=kit.role,
        process=process.pid if process else None,
        since=since.isoformat(" ", "seconds") if since else None,
        connected=connected,
        registered=registered,
        job=job,
        sent=sent,
        certificate_days=left.days,
        problems=(*critical, *warning),
        code=CRITICAL if critical else WARNING if warning else OK,
    )


def _reached(kit: Kit) -> tuple[psutil.Process | None, bool]:
    """The site's process, and whether it serves: a server listens, a hospital is connected."""
    process = running_from(kit.folder)
    if process is None:
        return None, False
    return process, _listens(kit) if kit.role == SERVER else _is_connected(kit, process)


def running_from(folder: Path) -> psutil.Process | None:
    """FLARE's process that serves this kit; not those of its jobs."""
    whole = folder.resolve()
    for process in _processes():
        words = _words(process)
        if not any(word.endswith((".client_train", ".server_train")) for word in words) or "-m" not in words:
            continue
        places = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-m"]
        if any(Path(place).resolve() == whole for place in places):
            return process
    return None


def keeper_of(folder: Path) -> psutil.Process | None:
    """The shell that starts FLARE again when it ends; it runs in the kit's own folder."""
    for process in _processes():
        if any(word.endswith("sub_start.sh") for word in _words(process)):
            with suppress(psutil.Error, OSError):
                if Path(process.cwd()) == folder.resolve() / STARTUP:
                    return process
    return None


def clear(kit: Kit) -> str | None:
    """Make way for a start: numbers of processes that are none of this kit go away.

    Returns:
        In words, that it runs already; None where it does not.

    Raises:
        ConfigError: another program has a port that the server needs, or that a hospital keeps for its Slurm cluster.
    """
    found = running_from(kit.folder) or keeper_of(kit.folder)
    if found is not None:
        return f"{kit.name} runs already, as process {found.pid}; startup/stop_fl.sh ends it"
    for name in NUMBERS:
        (kit.folder / name).unlink(missing_ok=True)
    for port in _ports(kit) if kit.role == SERVER else _cluster_ports(kit):
        if _taken(port):
            raise ConfigError(f"port {port} is taken by another program; end that one, then start again")
    return None


def _cluster_ports(kit: Kit) -> tuple[int, ...]:
    """The port at which a hospital on a Slurm cluster listens for its job processes."""
    slurm = read_slurm(kit.folder)
    return () if slurm is None else (slurm.port,)


def wait(kit: Kit, seconds: float, say: Callable[[str], None]) -> Status:
    """Wait until a site that was just started serves: a server listens, a hospital is connected.

    Raises:
        FedefmError: it ended; the message has the last line of its console. Or time is up for a server.
    """
    deadline, told, begun = time.monotonic() + seconds, False, time.time() - _START_SECONDS
    while True:
        process, connected = _reached(kit)
        if connected or time.monotonic() > deadline:
            break
        if keeper_of(kit.folder) is None and process is None:
            why = _rejected(kit.folder, begun) or f"{_last_words(kit.folder)}; see {kit.folder / CONSOLE}"
            raise FedefmError(f"{kit.name} did not start: {why}")
        if not told:
            say(f"starting {kit.name} ...")
            told = True
        time.sleep(0.5)
    found = status_of(kit)
    if kit.role == SERVER and not found.connected:
        raise FedefmError(f"{kit.name} listens nowhere after {seconds:g} s: {_last_words(kit.folder)}; see {CONSOLE}")
    return found


def line(found: Status) -> str:
    """One line for a person or a monitor."""
    word = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL"}[found.code]
    parts = [f"runs as process {found.process} since {found.since}" if found.process else "does not run"]
    if found.process and found.connected:
        parts.append("listens" if found.role == SERVER else f"connected, taken in {found.registered or 'lately'}")
    if found.job is not None:
        job = found.job
        parts.append(f"last job {job.get('name', '')} {job['event']} {job.get('time', '')}".replace("  ", " "))
    parts.append(f"certificate good for {found.certificate_days} days")
    return f"{word} {found.name}: {', '.join(parts)}" + "".join(f"\n  {problem}" for problem in found.problems)


def _processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _ports(kit: Kit) -> list[int]:
    server = read_object(kit.startup / "fed_server.json")["servers"][0]
    return [int(server["service"]["target"].rpartition(":")[2]), int(server["admin_port"])]


def _taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", port))
        except OSError:
            return True
    return False


def _listens(kit: Kit) -> bool:
    for port in _ports(kit):
        with socket.socket() as one:
            one.settimeout(2.0)
            if one.connect_ex(("127.0.0.1", port)) != 0:
                return False
    return True


def _is_connected(kit: Kit, process: psutil.Process) -> bool:
    """A connection stands from this process to the server's port, or to a proxy; FLARE's own end on the loopback."""
    with suppress(psutil.Error, ConfigError):
        environment = process.environ()
        proxies = [proxy_for(host, environment) for host, _ in kit.endpoints]
        ports = {port for _, port in kit.endpoints} | {proxy.port for proxy in proxies if proxy}
        lines = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED and one.raddr]
        if any(one.raddr.port in ports for one in lines):
            return _last_registered(kit.folder, process.create_time()) is not None and _unheard(kit.folder) is None
    return False


def _unheard(folder: Path) -> str | None:
    """In words, that the server takes no heartbeat, which FLARE tells in the log alone: the connection stands."""
    now, lines = time.time(), _tail(folder / LOG)[-200:]
    for sign, seconds, why in _UNHEARD:
        told = [match for text in lines if sign in text and (match := _WHEN.match(text))]
        ages = [now - datetime.fromisoformat(match.group()).timestamp() for match in told[-2:]]
        if len(ages) == 2 and ages[1] < seconds and ages[0] < 2 * seconds:
            return why
    return None


def _rejected(folder: Path, after: float = 0.0) -> str | None:
    """In words, why the server did not take a hospital in when it last asked; None where it did."""
    for text in reversed(_tail(folder / LOG)):
        match = _WHEN.match(text)
        if REGISTERED in text or (match and datetime.fromisoformat(match.group()).timestamp() < after):
            return None
        if REJECTED in text:
            said = visible(text.partition(REJECTED)[2].strip())[:100]
            return f"the server sends it away ({said}); ask the consortium's administrator"
    return None


def _last_registered(folder: Path, after: float = 0.0) -> str | None:
    """When the server last took the hospital in, as its own log has it."""
    for path in (folder / LOG, folder / f"{LOG}.1"):
        for text in reversed(_tail(path)):
            match = _WHEN.match(text)
            if REGISTERED in text and match:
                good = datetime.fromisoformat(match.group()).timestamp() >= after - 1
                return match.group() if good else None
    return None


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _last_words(folder: Path) -> str:
    lines = [text.strip() for text in _tail(folder / CONSOLE) if text.strip()]
    return lines[-1][:200] if lines else "it said nothing"
