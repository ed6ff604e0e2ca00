"""What docs/consortium-admin.md says of a consortium's members and its server, walked with the page's own commands.

A server and four hospitals, each from the zip of its own kit, over mutual TLS; no job, which other tests run.
"""

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from fedefm.federation.place import free_ports
from support.markdown import blocks
from support.project_files import CONSORTIUM, ROOT
from support.rogues import until
from support.typing_in import SECONDS, type_in

PAGE, HOSPITALS_PAGE = ROOT / "docs" / "consortium-admin.md", ROOT / "docs" / "hospital-it.md"
NAME = re.compile(r"(?<![\w.@])fedefm\.example\.org")  # the server's, and not the end of a person's address


def typed(part: str) -> list[list[str]]:
    """The blocks of commands of a part of the page, with the server's name of this walk."""
    text = PAGE.read_text().partition(f"\n## {part}\n")[2].partition("\n## ")[0]
    return [[NAME.sub("localhost", line) for line in block.lines] for block in blocks(text)]


class Walk:
    """Types commands, and keeps the ports and folders of the consortium."""

    def __init__(self, root: Path) -> None:
        self.office, self.server, self.images = root / "office", root / "server", root / "images"
        self.office.mkdir()
        self.server.mkdir()
        self.ports = free_ports(2)

    def hospital(self, name: str, look: str) -> None:
        """What a hospital's IT does, from its zip to a site that is connected."""
        place = self.machine(name)
        place.mkdir()
        type_in(f"umask 077 && unzip {self.office}/to-send/{name}.zip", place)
        own = {"data": str(self.images / look), "device": "cpu", "threads": 1}
        (place / name / "local" / "fedefm_site.json").write_text(json.dumps(own))
        assert f"OK {name}: runs" in type_in(f"{name}/startup/start.sh", place)

    def machine(self, name: str) -> Path:
        return self.office.parent / f"machine-of-{name}"

    def status(self, name: str) -> str:
        return type_in(f"fedefm site status {name} || true", self.machine(name))

    def take(self, command: str) -> None:
        """Carry the deny list to the server, and take it there."""
        shutil.copy(self.office / "fedefm-revoked.json", self.server)
        assert "in force from now on" in type_in(command, self.server)

    def stop(self) -> None:
        for place in (*self.office.parent.glob("machine-of-*/*/startup"), *self.server.glob("*/startup")):
            with suppress(AssertionError):
                type_in("./stop_fl.sh", place)


@pytest.fixture
def walk(tmp_path):
    made = Walk(tmp_path)
    yield made
    made.stop()


def connected(said: str) -> set[str]:
    return {line.split()[0] for line in said.splitlines() if "  connected, heard " in line}


@pytest.mark.federation
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("unzip") is None, reason="the page unpacks kits with unzip")
def test_the_page_leads_from_a_project_file_through_a_consortiums_life(walk):
    text = NAME.sub("localhost", CONSORTIUM.read_text()).replace("/var/lib/fedefm", str(walk.server / "storage"))
    for port, ours in zip(("8002", "8003"), walk.ports, strict=True):
        text = text.replace(f"port: {port}", f"port: {ours}")
    (walk.office / "project.yml").write_text(text)
    type_in("fedefm data synth --out images --frames 16 --size 48", walk.office.parent)
    _, kits = typed("Provision")
    assert "fingerprint of the root: " in type_in("\n".join(kits), walk.office)
    add, person, who, suspend, resume, renew, remove = typed("Add, remove, suspend or renew")[0]
    revoke, take = typed("Revoke")[0]

    def there() -> set[str]:
        return connected(type_in(who, walk.office))

    shutil.copy(walk.office / "to-send" / "localhost.zip", walk.server)
    assert "OK localhost: runs" in type_in("\n".join(typed("The server")[0]), walk.server)
    for name, look in (("hospital-a", "human"), ("hospital-c", "animal")):
        walk.hospital(name, look)
    assert "takes part from the next job on" in type_in(add, walk.office)
    assert "may log in with it at once" in type_in(person, walk.office)
    walk.hospital("hospital-d", "phantom")
    assert there() == {"hospital-a", "hospital-c", "hospital-d"}

    assert "until: fedefm consortium resume hospital-d" in type_in(suspend, walk.office)
    until(lambda: there() == {"hospital-a", "hospital-c"}, SECONDS)
    until(lambda: "the server sends it away" in walk.status("hospital-d"), SECONDS)
    type_in(resume, walk.office)
    until(lambda: "hospital-d" in there(), SECONDS)

    assert "`fedefm site renew KIT ZIP`" in type_in(renew, walk.office)
    [site_renew] = re.findall(r"`(fedefm site renew [^`]+)`", HOSPITALS_PAGE.read_text())
    shutil.copy(walk.office / "to-send" / "hospital-a.zip", walk.machine("hospital-a"))
    assert "stop it first" in type_in(site_renew.replace("~/", ""), walk.machine("hospital-a"), code=2)
    type_in("hospital-a/startup/stop_fl.sh", walk.machine("hospital-a"))
    type_in(site_renew.replace("~/", ""), walk.machine("hospital-a"))
    assert "OK hospital-a" in type_in("hospital-a/startup/start.sh", walk.machine("hospital-a"))

    type_in(revoke, walk.office)  # hospital-c
    walk.take(take)
    said = type_in(remove, walk.office)  # hospital-d
    assert "it@hospital-d.example.org takes part still, of the same organisation" in said
    walk.take(take)
    until(lambda: there() == {"hospital-a"}, SECONDS)
    assert "name: hospital-d," not in (walk.office / "project.yml").read_text()
    assert not (walk.office / "to-send" / "hospital-d.zip").exists()

    type_in("localhost/startup/stop_fl.sh", walk.server)
    said = type_in("localhost/startup/start.sh", walk.server)
    assert "OK localhost: runs" in said and "hospital-c, hospital-d may not connect" in said
    until(lambda: there() == {"hospital-a"}, SECONDS)
    assert "OK hospital-a" in walk.status("hospital-a")
    type_in("hospital-c/startup/stop_fl.sh", walk.machine("hospital-c"))
    said = type_in("hospital-c/startup/start.sh", walk.machine("hospital-c"), code=1)
    assert "did not start: the server sends it away (" in said
