"""The list of disabled hospitals is the one file that FLARE may write into a signed kit with a meaning: checked."""

import json
from pathlib import Path

import pytest

from fedefm.doctor.finding import FAIL, PASS, WARN
from fedefm.doctor.manifest import disabled
from fedefm.errors import TrustError
from fedefm.kits.kit import SERVER, Kit
from fedefm.trust import KIT_ROLES, read_disabled, sign_folder, verify_folder
from fedefm.trust.disabled import DISABLED_NAME
from support.consortium_certificates import Authority


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


def signed_kit(consortium: Authority, folder: Path, of: str) -> Path:
    (folder / "startup").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (folder / "startup" / of).write_text("{}")
    (folder / "startup" / of).chmod(0o600)
    sign_folder(folder, consortium.root.certificate, consortium.root.key, kind="kit", subject="server")
    return folder


@pytest.fixture
def kit(consortium: Authority, tmp_path: Path) -> Path:
    return signed_kit(consortium, tmp_path / "server", "fed_server.json")


def verify(kit: Path, consortium: Authority) -> None:
    verify_folder(kit, consortium.root.certificate, kind="kit", roles=KIT_ROLES)


def write(kit: Path, text: str, name: str = DISABLED_NAME) -> None:
    (kit / name).write_text(text)
    (kit / name).chmod(0o600)


def as_flare_writes(*names: str) -> str:
    return json.dumps({"disabled_clients": sorted(names)}, indent=2)


def test_a_kit_with_flares_own_list_is_as_it_was_signed(kit: Path, consortium: Authority) -> None:
    for names in (("hospital-c", "hospital_B"), ()):
        write(kit, as_flare_writes(*names))
        write(kit, "half of i", f"{DISABLED_NAME}.x1_y2abc.tmp")  # as a server that was killed leaves it
        verify(kit, consortium)
        assert read_disabled(kit) == tuple(sorted(names))


HOSTILE = {
    "no JSON": "{",
    "nothing": "",
    "a list": '["hospital-c"]',
    "one key more": '{"disabled_clients": [], "byoc": "any"}',
    "no list": '{"disabled_clients": "hospital-c"}',
    "a number": '{"disabled_clients": [1]}',
    "a path": '{"disabled_clients": ["../local/resources.json"]}',
    "an address": '{"disabled_clients": ["a b\\u001b[31m"]}',
    "an empty name": '{"disabled_clients": [""]}',
    "one name twice": '{"disabled_clients": ["a", "a"]}',
    "the key twice": '{"disabled_clients": ["a"], "disabled_clients": []}',
    "too many": json.dumps({"disabled_clients": [f"h{number}" for number in range(1001)]}),
    "too long": as_flare_writes("a") + " " * 200_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_anything_else_in_it_is_refused_with_the_remedy(text: str, kit: Path, consortium: Authority) -> None:
    write(kit, text)
    with pytest.raises(TrustError, match=rf"^{DISABLED_NAME}: not a plain list .*consortium suspend`$"):
        verify(kit, consortium)
    with pytest.raises(TrustError):
        read_disabled(kit)


@pytest.mark.parametrize("damage", [lambda path: path.chmod(0o620), lambda path: (path.unlink(), path.symlink_to("x"))])
def test_a_list_that_others_may_write_or_a_link_is_refused(damage, kit: Path, consortium: Authority) -> None:
    write(kit, as_flare_writes("hospital-c"))
    damage(kit / DISABLED_NAME)
    with pytest.raises(TrustError, match=DISABLED_NAME):
        verify(kit, consortium)


@pytest.mark.parametrize("name", [f"local/{DISABLED_NAME}", "study_registry.json", "disabled_clients.py"])
def test_no_other_file_may_appear(name: str, kit: Path, consortium: Authority) -> None:
    (kit / name).parent.mkdir(exist_ok=True, mode=0o700)
    write(kit, as_flare_writes("hospital-c"), name)
    with pytest.raises(TrustError, match="added since the folder was signed"):
        verify(kit, consortium)


def test_a_hospital_has_no_use_for_it(consortium: Authority, tmp_path: Path) -> None:
    kit = signed_kit(consortium, tmp_path / "hospital-a", "fed_client.json")
    write(kit, as_flare_writes("hospital-c"))
    with pytest.raises(TrustError, match="no file of this kit"):
        verify(kit, consortium)


def test_the_doctor_says_who_is_disabled(kit: Path) -> None:
    server = Kit(kit, SERVER, "server", ())
    assert [one.status for one in disabled(server)] == [PASS]
    write(kit, as_flare_writes("hospital-c"))
    (found,) = disabled(server)
    assert found.status == WARN and "hospital-c may not connect" in found.text
    assert "fedefm consortium resume" in found.remedy
    write(kit, "{")
    assert [one.status for one in disabled(server)] == [FAIL]
