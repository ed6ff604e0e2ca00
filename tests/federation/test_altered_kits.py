"""T5, T10: a provisioned kit that is not as it was signed does not start, and the file is named."""

from pathlib import Path

import pytest

from fedefm.federation.sites import CONSOLE, site_process, write_site_config

pytestmark = [pytest.mark.federation, pytest.mark.timeout(200)]


def flip(path: Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def respace(path: Path):
    """The same file with a space more: still what FLARE reads, no longer what was signed."""
    path.write_text(path.read_text().replace("{", "{ ", 1))


FAULTS = {
    "byte": ("startup/rootCA.pem", flip),
    "script": ("startup/sub_start.sh", lambda path: path.write_text(path.read_text() + "\n")),
    "space": ("local/resources.json", respace),
    "missing": ("local/log_config.json.default", Path.unlink),
    "policy deleted": ("local/authorization.json", Path.unlink),
    "privacy deleted": ("local/privacy.json", Path.unlink),
    "added": ("local/custom.py", lambda path: path.write_text("")),
    "group-writable": ("local/resources.json", lambda path: path.chmod(0o620)),
    "key": ("startup/{side}.key", lambda path: path.chmod(0o640)),
}


def start(kit):
    """Exit code and words of start.sh; were the kit to start after all, it would be ended with all below it."""
    with site_process(kit) as process:
        code = process.wait(60)
    return code, (kit / CONSOLE).read_text()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["client", "server"])
def test_t5_t10_it_does_not_start_and_the_file_is_named(fresh, place, folders, side, fault):
    kit = fresh / ("hospital-a" if side == "client" else place.server)
    if side == "client":
        write_site_config(kit, folders["hospital-a"])
    name, damage = FAULTS[fault]
    damage(kit / name.format(side=side))
    code, said = start(kit)
    assert code == 1
    assert Path(name.format(side=side)).name in said.partition("[FAIL]")[2]
    assert "->" in said
    assert not (kit / "log.txt").exists()
