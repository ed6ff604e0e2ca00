"""A server, three hospitals, a proxy and the lead's desk: each in a container with an address of its own.

Two networks without a way out. Hospital c sits in the inner one alone and reaches the server through the proxy; all
others sit in the outer one. Containers get what the compose files of `provisioning/container` give them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedefm.exchange.events import Event
from fedefm.federation.console import PATIENCE
from fedefm.federation.place import Place, run_provision
from fedefm.federation.rehearsal import JobLog, collect, signed_job, synthetic_hospitals
from fedefm.foundation.settings import Settings
from fedefm.kits.kit import LOG, REGISTERED
from fedefm.resources import shipped
from support.boxes import proxy
from support.boxes.podman import LIMITS, Podman

SERVER, HOSPITALS = "fedefm.example.org", ("hospital-a", "hospital-b", "hospital-c")
BEHIND, PROXY, DESK = "hospital-c", "proxy", "desk"
LEAD, ADMIN = "lead@fedefm.example.org", "admin@fedefm.example.org"
USER = 10001
CONTAINER = Path(__file__).parents[3] / "provisioning" / "container"
NUMBERS = {SERVER: 10, "hospital-a": 11, "hospital-b": 12, "hospital-c": 13, PROXY: 20, DESK: 30}
CALL = 240.0


@dataclass
class Job:
    """A job on its way.

    Attributes:
        id: FLARE's.
        events: what its log told so far.
        status: FLARE's, at the end.
    """

    id: str
    events: list[Event] = field(default_factory=list)
    status: str = ""
    seconds: float = 0.0


@dataclass
class Boxes:
    """The federation.

    Attributes:
        podman: the engine.
        image: ours.
        root: kits, data, storage, work: all that the containers see.
    """

    podman: Podman
    image: str
    root: Path
    folders: dict[str, Path] = field(default_factory=dict)
    submitted: int = 0

    # names and places

    def box(self, name: str) -> str:
        """Name of a participant's container."""
        return f"{self.podman.tag}-{name}"

    def network(self, name: str) -> str:
        """Name of a network; `outer` or `inner`."""
        return f"{self.podman.tag}-{name}"

    def address(self, name: str, network: str = "outer") -> str:
        """The address of a participant in a network."""
        found = json.loads(self.podman("network", "inspect", self.network(network)))[0]
        return str(ipaddress.ip_network(found["subnets"][0]["subnet"])[NUMBERS[name]])

    def kit(self, name: str) -> Path:
        """A participant's kit, as the host sees it."""
        return self.root / "kits" / name

    def place(self) -> Place:
        """The same for those who read logs on the host."""
        people = {"lead": LEAD, "project_admin": ADMIN}
        return Place(self.root, self.root / "kits", SERVER, HOSPITALS, people, 8002, 8003)

    # making

    def prepare(self) -> None:
        """Networks, kits from the shipped project file, data, and what sites write."""
        for network in ("outer", "inner"):
            self.podman.create_network(self.network(network))
        kits = run_provision(shipped("provisioning") / "project.yml", self.root / "consortium", self.root)
        kits.rename(self.root / "kits")
        self.folders = synthetic_hospitals(self.root / "data", HOSPITALS, 0)
        for name in HOSPITALS:
            plain = {"data": "/data", "cache": "/cache", "device": "cpu", "threads": 1, "least_images": 1}
            path = self.kit(name) / "local" / "fedefm_site.json"
            path.write_text(json.dumps(plain))
            path.chmod(0o600)
            (self.root / "cache" / name).mkdir(parents=True)
        for name in ("storage", "work", "proxy"):
            (self.root / name).mkdir()
        shutil.copy(proxy.__file__, self.root / "proxy" / "proxy.py")
        self.hand_over(self.root)

    def hand_over(self, folder: Path) -> None:
        """To the user of the containers; people unpack kits for its account."""
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)

    def start_all(self) -> None:
        """Everybody, until every hospital is taken in."""
        self.run(PROXY, ["outer", "inner"], ["python3", "/proxy/proxy.py"], [f"{self.root}/proxy:/proxy"])
        people = [f"{self.kit(LEAD)}:/lead", f"{self.kit(ADMIN)}:/admin", f"{self.root}/work:/work"]
        self.run(DESK, ["outer"], ["sleep", "infinity"], people)
        self.serve(SERVER, ["outer"], "server", {"KIT": self.kit(SERVER), "STORAGE": self.root / "storage"})
        for name in HOSPITALS:
            self.hospital(name, self.kit(name))
        for name in HOSPITALS:
            self.until_registered(name, 0)

    def hospital(self, name: str, kit: Path, more: Sequence[str] = ()) -> None:
        """Start a hospital from a kit of its own, c behind the proxy."""
        places = {"KIT": kit, "DATA": self.folders[name], "CACHE": self.root / "cache" / name}
        if name == BEHIND:
            self.serve(name, ["inner"], "hospital", places, [*self.through_proxy(), *more])
        else:
            self.serve(name, ["outer"], "hospital", places, more)

    def through_proxy(self) -> list[str]:
        """The environment of a hospital that has a proxy; FLARE's processes talk to each other on the loopback."""
        there = f"http://{self.address(PROXY, 'inner')}:{proxy.PORT}"
        return ["--env", f"https_proxy={there}", "--env", "no_proxy=localhost,127.0.0.1"]

    def serve(self, name: str, nets: list[str], role: str, places: dict[str, Path], more: Sequence[str] = ()) -> None:
        """Start a site as its compose file says."""
        values = {key: str(value) for key, value in places.items()}
        self.podman(*self.create(name, nets), *composed(role, values), *more, self.image)

    def run(self, name: str, networks: list[str], command: list[str], volumes: list[str]) -> None:
        """Start something else in our image."""
        binds = [word for volume in volumes for word in ("--volume", volume)]
        rights = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--init"]
        program, *rest = command
        self.podman(*self.create(name, networks), *rights, *binds, "--entrypoint", program, self.image, *rest)

    def create(self, name: str, networks: list[str]) -> list[str]:
        """The words that all share: name, limits, addresses; who sits in the outer network knows the server's name."""
        words = ["run", "--detach", "--name", self.box(name), "--pull=never", "--workdir", "/tmp", *LIMITS]
        for network in networks:
            words += ["--network", f"{self.network(network)}:ip={self.address(name, network)}"]
        return words + (["--add-host", f"{SERVER}:{self.address(SERVER)}"] if "outer" in networks else [])

    # what is done to them

    def cut(self, name: str, network: str = "outer") -> None:
        """Take a participant's cable out."""
        self.podman("network", "disconnect", self.network(network), self.box(name))

    def mend(self, name: str, network: str = "outer") -> None:
        """Put it in again, with the address that it had."""
        self.podman("network", "connect", "--ip", self.address(name, network), self.network(network), self.box(name))

    def slow(self, name: str, rate: str) -> None:
        """Bound what a participant sends, as a thin line does."""
        pid = str(self.podman.inspect(self.box(name))["State"]["Pid"])
        line = f"tc qdisc replace dev eth0 root tbf rate {rate} burst 32kbit latency 400ms"
        subprocess.run(["nsenter", "--target", pid, "--net", *line.split()], check=True, capture_output=True)

    def sent_slowly(self, name: str) -> int:
        """Bytes that went through the thin line."""
        pid = str(self.podman.inspect(self.box(name))["State"]["Pid"])
        words = ["nsenter", "--target", pid, "--net", "tc", "-s", "qdisc", "show", "dev", "eth0"]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found = re.search(r"qdisc tbf .*?Sent (\d+) bytes", said, re.DOTALL)
        return int(found.group(1)) if found else 0

    def freeze(self, name: str) -> None:
        self.podman("pause", self.box(name))

    def thaw(self, name: str) -> None:
        self.podman("unpause", self.box(name))

    def kill(self, name: str) -> None:
        self.podman("kill", self.box(name))
        self.podman("wait", self.box(name))

    def start(self, name: str) -> None:
        """Again, in the same container: what a restart policy or a reboot does."""
        self.podman("start", self.box(name))

    def remove(self, name: str) -> None:
        """Stop a participant as its owner would, and take its container away."""
        self.podman("rm", "--force", "--time", "30", self.box(name))

    # what they say

    def registrations(self, name: str) -> int:
        """How often a hospital was taken in, by its own log."""
        log = self.kit(name) / LOG
        return log.read_text(errors="replace").count(REGISTERED) if log.is_file() else 0

    def until_registered(self, name: str, before: int, seconds: float = CALL) -> None:
        """Wait until it was taken in more often than before."""
        if not self.registered_within(name, before, seconds):
            raise AssertionError(f"{name} was not taken in: {self.said(name)}")

    def registered_within(self, name: str, before: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.registrations(name) <= before:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def said(self, name: str) -> str:
        """The end of what a container printed."""
        done = subprocess.run(self.podman.command("logs", self.box(name)), capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr)[-3000:]

    def inside(self, name: str, *words: str, seconds: float = CALL) -> str:
        """Run a command in a participant's container, as its user."""
        return self.podman("exec", self.box(name), *words, seconds=seconds)

    # the desk

    def nvflare(self, *words: str, kit: str = "/lead") -> Any:
        """One of FLARE's commands at the desk; the value that it prints."""
        said = self.inside(DESK, "nvflare", *PATIENCE, "--format", "json", *words, "--startup-kit", kit)
        for begin in (i for i, letter in enumerate(said) if letter == "{"):
            try:
                return json.loads(said[begin:])["data"]
            except (ValueError, KeyError):
                continue
        raise AssertionError(f"nvflare {' '.join(words)}: {said}")

    def connected(self) -> set[str]:
        """The hospitals that the server has."""
        try:
            return {one["client_name"] for one in self.nvflare("system", "status")["clients"]}
        except AssertionError:
            return set()

    def until_connected(self, names: set[str], seconds: float = CALL) -> None:
        """Wait until the server has just these."""
        deadline = time.monotonic() + seconds
        while (found := self.connected()) != names:
            assert time.monotonic() < deadline, (found, names)
            time.sleep(10)  # each question is a Python of its own

    def submit(self, settings: Settings) -> Job:
        """A job that the lead signs and submits."""
        self.submitted += 1
        job = signed_job(self.root / "work" / f"job-{self.submitted}", settings, self.place())
        self.hand_over(job.parent)
        return Job(self.nvflare("job", "submit", "-j", f"/work/{job.parent.name}/{job.name}")["job_id"])

    def watch(self, job: Job, seconds: float, tick: Callable[[Event], None] = lambda event: None) -> str:
        """Wait for a job's end; `tick` gets each event as it is told."""

        def hear(event: Event) -> None:
            job.events.append(event)
            tick(event)

        log, begin = JobLog(self.place(), job.id, hear), time.monotonic()
        with self.monitored(job, seconds) as ended:
            while not ended():
                log()
                time.sleep(0.2)
        job.seconds = time.monotonic() - begin
        return job.status

    @contextmanager
    def monitored(self, job: Job, seconds: float) -> Iterator[Callable[[], bool]]:
        """`nvflare job monitor` at the desk, beside what this process does; its last word is the job's status."""
        words = ["nvflare", *PATIENCE, "--format", "jsonl", "job", "monitor", job.id, "--timeout", str(int(seconds))]
        command = self.podman.command("exec", self.box(DESK), *words, "--interval", "2", "--startup-kit", "/lead")
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield lambda: process.poll() is not None
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            lines = [line for line in output.read().splitlines() if line.startswith("{") and line.endswith("}")]
        ends = [event for event in map(json.loads, lines) if event.get("terminal")]
        job.status = str(ends[-1].get("job_status", ends[-1]["status"])) if ends else "\n".join(lines[-3:])

    def status_of(self, job: Job) -> str:
        return next(one["status"] for one in self.nvflare("job", "list") if one["job_id"] == job.id)

    def results(self, job: Job) -> dict[str, Any]:
        """The record of a job, downloaded at the desk; Theta lies beside it, in `out/JOB_ID`."""
        self.nvflare("job", "download", job.id, "-o", f"/work/download-{job.id}")
        return collect(self.root / "work" / f"download-{job.id}" / job.id, self.root / "out" / job.id)


def composed(role: str, values: dict[str, str]) -> list[str]:
    """What a compose file asks for, as the words of `podman run`."""
    (service,) = yaml.safe_load((CONTAINER / f"compose.{role}.yml").read_text())["services"].values()
    words = ["--user", service["user"]]
    words += ["--read-only"] if service["read_only"] else []
    words += ["--init"] if service.get("init") else []
    for option, key in (("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop")):
        words += [word for value in service[key] for word in (option, value)]
    words += [word for value in service["security_opt"] for word in ("--security-opt", value.partition(":")[0])]
    for volume in service["volumes"]:
        words += ["--volume", re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: values[match.group(1)], volume)]
    return words
