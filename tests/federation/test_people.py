"""T1, T4: who may command, at the port of the people."""

import shutil

import pytest

from fedefm.errors import FedefmError
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import signed_job, small_settings
from fedefm.federation.sites import running
from support.rogues import Ear, authority, change, kit_with, pair

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]

ADMIN = ("startup", "fed_admin.json")


@pytest.fixture(scope="module")
def server(place):
    with running(place, {}) as processes:
        yield processes[place.server]


@pytest.fixture(scope="module")
def job(place, tmp_path_factory):
    """A job that the lead signed, so that nothing but the person who submits it is wrong."""
    return signed_job(tmp_path_factory.mktemp("job"), small_settings(), place)


def lead_kit(place):
    return place.kit(place.people["lead"])


def jobs(place):
    return Console(lead_kit(place)).call("job", "list")


COMMANDS = {
    "list": ("job", "list"),
    "status": ("system", "status"),
    "shutdown": ("system", "shutdown", "server", "--force"),
    "submit": ("job", "submit", "-j"),
}


def refuses(server, kit, job, command):
    """The command of this kit is refused, and the server goes on."""
    words = COMMANDS[command] + ((str(job),) if command == "submit" else ())
    with pytest.raises(FedefmError) as caught:
        Console(kit).call(*words)
    assert server.poll() is None
    return str(caught.value)


@pytest.mark.slow
def test_t4_a_hospitals_certificate_commands_nothing_in_its_own_name(server, place, job, tmp_path):
    """FLARE lets it log in, with no role; the server's policy gives such a person no right."""
    kit = kit_with(lead_kit(place), place.kit("hospital-a") / "startup", tmp_path)
    change(kit.joinpath(*ADMIN), "admin", "username", value="hospital-a")
    before = jobs(place)
    for command in COMMANDS:
        assert "not authorized" in refuses(server, kit, job, command), command
    assert jobs(place) == before


def test_t4_a_hospitals_certificate_is_not_the_leads(server, place, job, tmp_path):
    kit = kit_with(lead_kit(place), place.kit("hospital-a") / "startup", tmp_path)
    log = Ear(place.kit(place.server) / "log.txt")
    refuses(server, kit, job, "list")
    assert "a message in another's name" in log()  # its certificate says hospital-a; FLARE's own check comes after
    assert "Created user session" not in log()


def test_t1_a_person_without_a_role_commands_nothing(server, place, job, tmp_path):
    """A genuine certificate in the lead's name, as a hospital could have it signed by mistake."""
    rogue = pair(tmp_path / "pair", place.people["lead"], "consortium", *authority(place))
    kit = kit_with(lead_kit(place), rogue, tmp_path / "kit")
    assert "not authorized" in refuses(server, kit, job, "list")


def test_people_do_not_get_in_where_hospitals_do(server, place, job, tmp_path):
    kit = tmp_path / "lead"
    shutil.copytree(lead_kit(place), kit)
    change(kit.joinpath(*ADMIN), "admin", "port", value=place.fl_port)
    log = Ear(place.kit(place.server) / "log.txt")
    refuses(server, kit, job, "list")
    assert "Error processing frame" in log()
    assert "Created user session" not in log()
