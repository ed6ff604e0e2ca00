"""Podman with a store of its own, so that images, containers and networks of anybody else are never touched."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from support.boxes.traces import namespaces, traces

PACKAGES = ["podman", "buildah", "runc", "netavark", "aardvark-dns", "catatonit", "debootstrap", "iproute2", "iptables"]
TOOLS = ("podman", "runc", "debootstrap", "tc", "nsenter")
GONE = 20.0
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]  # else: setrlimit, operation not permitted


def cache_folder() -> Path:
    """Where what is slow to make stays for the next run: `FEDEFM_CONTAINERS`, else in the user's cache."""
    named = os.environ.get("FEDEFM_CONTAINERS")
    return Path(named) if named else Path.home() / ".cache" / "fedefm-containers"


def missing() -> str:
    """Why no container can run here; empty where all is there, or could be installed."""
    if os.geteuid() != 0:
        return "containers with networks and a slow link need root here"
    if not all(map(shutil.which, TOOLS)) and shutil.which("apt-get"):
        quiet = {"capture_output": True, "check": False, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], **quiet)
    lacking = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"not installed, and apt-get could not install it: {', '.join(lacking)}" if lacking else ""


@dataclass
class Podman:
    """The engine of one run.

    Attributes:
        folder: its store lies here.
        tag: first word of the name of every container, network and image of this run.
    """

    folder: Path
    tag: str
    _lock: IO[str] = field(init=False)
    _namespaces: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Wait for another run on the same store, then remove what a run that was killed left there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self("rm", "--all", "--force", "--time", "0")
        for name in self("network", "ls", "--format", "{{.Name}}").split():
            if name != "podman":
                self("network", "rm", "--force", name)
        self._namespaces = namespaces()

    def command(self, *words: str) -> list[str]:
        """The whole command line."""
        run = self.folder / "run"
        store = ["--root", str(self.folder / "store"), "--runroot", str(run), "--tmpdir", str(run / "tmp")]
        return [
            "podman",
            *store,
            *("--network-config-dir", str(self.folder / "networks"), "--cgroup-manager", "cgroupfs"),
            *("--runtime", "runc", *words),
        ]

    def __call__(self, *words: str, seconds: float = 120.0) -> str:
        """Run one command and give what it prints."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """All that is known of a container."""
        return json.loads(self("inspect", "--type", "container", name))[0]

    def has_image(self, name: str) -> bool:
        return subprocess.run(self.command("image", "exists", name), check=False, capture_output=True).returncode == 0

    def build(self, context: Path, file: Path, name: str, *words: str) -> None:
        """Build an image without a registry; its layers are not kept apart."""
        self(
            *("build", "--isolation", "chroot", "--layers=false", "--pull=never", "-f", str(file), "-t", name),
            *(*words, str(context)),
            seconds=2400,
        )

    def ours(self) -> list[str]:
        """Names of the containers, networks and images of this run that are there."""
        names = self("ps", "-a", "--format", "{{.Names}}").split() + self.networks()
        names += self("images", "--format", "{{.Repository}}").split()
        return [name for name in names if name.removeprefix("localhost/").startswith(self.tag)]

    def create_network(self, name: str) -> None:
        """A network without a way out and without a name server, which would ask those of the machine."""
        self("network", "create", "--internal", "--disable-dns", name)

    def networks(self) -> list[str]:
        """Names of the networks of this run."""
        return [name for name in self("network", "ls", "--format", "{{.Name}}").split() if name.startswith(self.tag)]

    def close(self) -> None:
        """Remove every container, network and image of this run, and see that nothing of it is left.

        Raises:
            AssertionError: something is; the message names it.
        """
        bridges = [json.loads(self("network", "inspect", name))[0]["network_interface"] for name in self.networks()]
        for name in self("ps", "-a", "--format", "{{.Names}}").split():
            if name.startswith(self.tag):
                self("rm", "--force", "--time", "0", name)
        for name in self.networks():
            self("network", "rm", "--force", name)
        for name in self("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"localhost/{self.tag}"):
                self("rmi", "--force", name)
        self("image", "prune", "--force")
        left = self.ours()
        store = str(self.folder / "store" / "overlay")  # the engine mounts it on itself, for good
        subprocess.run(["umount", "--recursive", store], check=False, capture_output=True)
        deadline = time.monotonic() + GONE
        while (still := traces(self.folder, bridges, self._namespaces)) and time.monotonic() < deadline:
            time.sleep(0.2)  # the engine's processes end a moment after their containers
        self._lock.close()
        assert left + still == [], left + still
