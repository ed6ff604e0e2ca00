"""What docs/consortium-admin.md says of backup and restore, walked with the page's own commands."""

import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fedefm.federation import sites
from fedefm.federation.console import ABANDONED, COMPLETED, Console
from fedefm.federation.place import provision
from fedefm.federation.rehearsal import JobLog, collect, job_log, signed_job, small_settings, synthetic_hospitals
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.resources import shipped
from fedefm.simulation.process import kill_tree
from support.markdown import blocks
from support.rogues import until
from support.typing_in import SECONDS, type_in

PAGE = Path(__file__).parents[2] / "docs" / "consortium-admin.md"
PLACES = re.compile(r"KIT=\S+ STORAGE=\S+ BACKUP=\S+")


def typed():
    """The blocks of commands of the page's part: back up, restore, the folder of the provisioning."""
    part = PAGE.read_text().partition("\n## Back up and restore\n")[2].partition("\n## ")[0]
    found = ["\n".join(block.lines) for block in blocks(part)]
    assert len(found) == 3
    return found


def with_places(commands, **places):
    """The page's commands with our own places in their first line."""
    ours = " ".join(f"{name}={value}" for name, value in places.items())
    changed, count = PLACES.subn(ours, commands, count=1)
    assert count == 1 and "/var/lib" not in changed
    return changed


@pytest.mark.federation
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_lost_server_is_restored_from_its_backup_and_its_job_goes_on(tmp_path):
    place = provision(tmp_path / "place")
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    settings = small_settings(11)
    settings = replace(settings, schedule=replace(settings.schedule, rounds=3))
    kit, storage = place.kit(place.server), place.root / "storage"
    back_up, restore, _ = typed()
    places = {"KIT": kit, "STORAGE": storage, "BACKUP": tmp_path / "backup" / "today"}
    lead = Console(place.kit(place.people["lead"]))
    with sites.running(place, folders) as processes:
        lost = lead.submit(signed_job(tmp_path / "first", settings, place))
        until(lambda: list((storage / "rounds").glob("*/round-000001.json")), SECONDS)
        type_in(with_places(back_up, **places), tmp_path)
        assert job_log(place, lost).exists(), "the job was over before its server was lost"
        kill_tree(processes[place.server])
        for folder in (kit, storage):
            shutil.rmtree(folder)
        try:
            assert f"OK {place.server}: runs as process" in type_in(with_places(restore, **places), tmp_path)
            until(lambda: lead.hospitals() == set(folders), SECONDS)
            assert lead.status_of(lost) == ABANDONED
            lead.call("job", "delete", lost, "--force")
            again = lead.submit(signed_job(tmp_path / "again", settings, place))
            assert lead.watch(again, JobLog(place, again, lambda event: None), SECONDS) == COMPLETED
            record = collect(lead.download(again, tmp_path / "download"), tmp_path / "out")
        finally:
            with suppress(AssertionError):
                type_in(f"{kit}/startup/stop_fl.sh", tmp_path)
    [resumed] = record["resumed"]
    assert resumed["round"] >= 1 and record["lost"] == []
    assert [entry["round"] for entry in record["history"]] == [0, 1, 2]
    theta = run_in_process(settings, folders).state.theta
    assert theta is not None and record["theta"]["sha256"] == weights_sha256(theta)
    until(lambda: not sites.listens(place.fl_port))


@pytest.mark.slow
@pytest.mark.federation
def test_the_restored_folder_of_the_provisioning_makes_the_same_kits(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    shutil.copy(shipped("provisioning") / "project.yml", here / "project.yml")
    type_in("fedefm consortium kits", here)
    pack, *restored = typed()[2].splitlines()
    type_in(pack, here)
    there.mkdir()
    shutil.move(here / "consortium-backup.tgz", there)
    shutil.rmtree(here)
    assert "all kits are as they were" in type_in("\n".join(restored), there)
    assert (there / "consortium" / "fedefm" / "state" / "cert.json").stat().st_mode & 0o077 == 0
