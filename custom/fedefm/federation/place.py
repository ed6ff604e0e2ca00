"""Where a federation on one machine lives: its kits and its ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedefm.errors import ConfigError, FedefmError
from fedefm.files import refused_write, system_error, write_whole
from fedefm.kits.kit import KIT_FOLDERS, LAST_KITS
from fedefm.resources import shipped

PROJECT = "project.local.yml"
PROVISION_SECONDS = 120
_PROVISION = (sys.executable, "-m", "nvflare.cli", "provision", "--force")
KIT_BUILDER = "fedefm.flare.provision.kits.KitBuilder"
LOCALHOST = "localhost"


@dataclass(frozen=True)
class Place:
    """A provisioned federation.

    Attributes:
        root: folder of everything that it writes.
        kits: folder with a kit for each participant.
        server: name of the server, which is its host name.
        hospitals: their names, sorted.
        people: name of a person for each role; the first where several share it.
        fl_port: where hospitals connect.
        admin_port: where people connect.
        links: port of the loopback that a hospital's kit names in place of `fl_port`, of hospitals behind a link.
    """

    root: Path
    kits: Path
    server: str
    hospitals: tuple[str, ...]
    people: dict[str, str]
    fl_port: int
    admin_port: int
    links: Mapping[str, int] = field(default_factory=dict)

    def kit(self, name: str) -> Path:
        """A participant's kit."""
        return self.kits / name


def provision(root: Path, project: Path | None = None, links: Collection[str] = ()) -> Place:
    """Make kits for all of a project file, with free ports of this machine and storage under `root`.

    Args:
        root: a folder; new kits of the same project lie beside older ones there, under the same CA.
        project: a project file; by default that of one machine. One of many machines keeps its names, and its hospitals
            find the server on this one: their keys are made here, and no job waits for a person.
        links: hospitals whose kits name a port of their own, where a `Link` carries their bytes to the server.

    Raises:
        ConfigError: the project file is not usable.
        FedefmError: FLARE made no kits; the message ends with what it said.
    """
    plain = _read(project or shipped("provisioning") / PROJECT)
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    fl_port, admin_port, *behind = free_ports(2 + len(links))
    ports = dict(zip(sorted(links), behind, strict=True))
    server = next(p for p in plain["participants"] if p["type"] == "server")
    server |= {"fed_learn_port": fl_port, "admin_port": admin_port}
    if server["name"] != LOCALHOST:
        server["default_host"] = LOCALHOST
    for hospital in (p for p in plain["participants"] if p["type"] == "client"):
        hospital.pop("request", None)
        if hospital["name"] in ports:
            hospital["connect_to"] = {"host": LOCALHOST, "port": ports[hospital["name"]]}
    for builder in plain["builders"]:
        if builder["path"] == KIT_BUILDER:
            builder["args"] = {"storage": str(root / "storage")}
    filled = root / "project.yml"
    write_whole(filled, yaml.safe_dump(plain, sort_keys=False))
    kits = run_provision(filled, root / "provision", root)
    return Place(root, kits, server["name"], hospitals_of(plain), people_of(plain), fl_port, admin_port, ports)


def hospitals_in(project: Path | None = None) -> tuple[str, ...]:
    """Names of the hospitals of a project file, sorted; by default of that of one machine.

    Raises:
        ConfigError: the project file is not usable.
    """
    return hospitals_of(_read(project or shipped("provisioning") / PROJECT))


def people_in(project: Path | None = None) -> dict[str, str]:
    """Name of a person for each role of a project file, the first where several share it.

    Raises:
        ConfigError: the project file is not usable.
    """
    return people_of(_read(project or shipped("provisioning") / PROJECT))


def people_of(plain: Mapping[str, Any]) -> dict[str, str]:
    """Name of a person for each role of a project."""
    people: dict[str, str] = {}
    for person in (p for p in plain["participants"] if p["type"] == "admin"):
        people.setdefault(person["role"], person["name"])
    return people


def hospitals_of(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the hospitals of a project, sorted."""
    return tuple(sorted(p["name"] for p in plain["participants"] if p["type"] == "client"))


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def environment() -> dict[str, str]:
    """The environment of every process: this Python first in the path, one thread, few memory arenas."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | threads | {"PATH": path, "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


def _read(project: Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load(project.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{project}: not a readable YAML file ({error}); correct it") from error
    if not isinstance(plain, dict) or not {"name", "participants", "builders"} <= set(plain):
        raise ConfigError(f"{project}: needs name, participants and builders; start from provisioning/{PROJECT}")
    return plain


def run_provision(project: Path, workspace: Path, folder: Path) -> Path:
    """Run `nvflare provision`, and give the newest folder of kits.

    Args:
        project: the project file.
        workspace: where kits and the CA's memory lie; a new folder of kits beside the older ones.
        folder: where it runs: paths of certificate requests are relative to it.

    Raises:
        ConfigError: the disk refuses, or there are as many folders of kits as FLARE makes. FedefmError: FLARE made no
            kits; the message ends with what it said.
    """
    kits = workspace / yaml.safe_load(project.read_text())["name"]
    last = kits / LAST_KITS
    if last.is_dir():
        raise ConfigError(
            f"{last}: FLARE makes no folder of kits after this one; move all others out of {kits}, keep them, and"
            " rename this one to prod_00"
        )
    done = subprocess.run(  # noqa: S603 (our own interpreter and paths, no shell)
        [*_PROVISION, "-p", str(project.resolve()), "-w", str(workspace.resolve()), "-c", str(folder.resolve())],
        env=environment(),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROVISION_SECONDS,
    )
    if done.returncode != 0 and (refused := system_error(done.stderr + done.stdout)):
        raise refused_write(refused, workspace)
    if done.returncode != 0:
        raise FedefmError(f"nvflare provision failed: {_last_line(done.stderr) or _last_line(done.stdout)}")
    return max(kits.glob(KIT_FOLDERS))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "rror" in line or "Exception" in line), lines[-1] if lines else "")
