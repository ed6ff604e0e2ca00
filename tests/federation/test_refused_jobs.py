"""T4, T6, T7: jobs that a hospital must not run, submitted by the lead in person to provisioned hospitals."""

import json

import pytest

from fedefm.cli import main
from fedefm.errors import FedefmError
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JOB, signed_job, small_settings
from fedefm.federation.sites import running
from fedefm.flare.job_files import DOWNLOADED
from fedefm.flare.job_folder import write_job
from fedefm.flare.job_guard import REFUSAL
from fedefm.kits.kit import open_kit
from fedefm.kits.limits import LIMITS_FILE
from fedefm.trust import MANIFEST_NAME, SIGNATURE_NAME, sign_job
from fedefm.trust.job_ledger import JobLedger
from fedefm.trust.kinds import LEDGER_NAME
from fedefm.trust.ledger import OUTBOX, Ledger
from support.rogues import Ear, authority, change, kit_with, pair, until
from support.unchecked_jobs import sign_unchecked

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

FOREIGN = "nvflare.app_common.np.np_trainer.NPTrainer"


@pytest.fixture(scope="module")
def consortium(place, folders):
    with running(place, folders):
        yield place


def lead_of(place):
    return Console(place.kit(place.people["lead"]))


def sign(job, place, name):
    startup = place.kit(name) / "startup"
    sign_job(job, startup / "client.crt", startup / "client.key")


def written(folder):
    write_job(folder / JOB, small_settings())
    return folder / JOB


def unsigned(place, folder):
    return written(folder)


def by_a_hospital(place, folder):
    job = written(folder)
    sign(job, place, "hospital-a")
    return job


def by_a_member(place, folder):
    job = written(folder)
    sign(job, place, place.people["member"])
    return job


def altered(place, folder):
    job = signed_job(folder, small_settings(), place)
    path = job / "app" / "config" / "foundation.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    return job


def with_a_file_more(place, folder):
    job = signed_job(folder, small_settings(), place)
    (job / "app" / "config" / "more.json").write_text("{}")
    return job


def with_the_manifest_of_another(place, folder):
    other = signed_job(folder / "other", small_settings(3), place)
    job = written(folder)
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        (job / "app" / name).write_bytes((other / "app" / name).read_bytes())
    return job


def with_a_file_less(place, folder):
    job = signed_job(folder, small_settings(), place)
    (job / "app" / "config" / "foundation.json").unlink()
    return job


def with_two_files_swapped(place, folder):
    job = signed_job(folder, small_settings(), place)
    one, other = (job / "app" / "config" / f"config_fed_{side}.json" for side in ("client", "server"))
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1])
    other.write_text(texts[0])
    return job


def with_a_file_of_another(place, folder):
    other = signed_job(folder / "other", small_settings(3), place)
    job = signed_job(folder, small_settings(), place)
    path = job / "app" / "config" / "foundation.json"
    moved = (other / "app" / "config" / "foundation.json").read_bytes()
    assert path.read_bytes() != moved
    path.write_bytes(moved)
    return job


def outcome(place, job):
    """Id of a job, and how it ended: up to 3 minutes, if all hospitals refuse before the server's process is up."""
    lead = lead_of(place)
    job_id = lead.submit(job)
    return job_id, lead.watch(job_id, lambda: None, 240.0)


def ears(place):
    """What each hospital's log says from now on."""
    return {name: Ear(place.kit(name) / "log.txt") for name in place.hospitals}


def launched(place, job_id):
    """The hospitals that started a process for a job."""
    found = []
    for name in place.hospitals:
        ledger = place.kit(name) / LEDGER_NAME
        lines = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
        found += [name for line in lines if line["event"] == "launched" and line["job_id"] == job_id]
    return found


def runs_nowhere(place, job, reason):
    """Submit a job; every hospital refuses it for that reason and starts no process."""
    logs = ears(place)
    job_id, end = outcome(place, job)
    assert end != COMPLETED
    assert launched(place, job_id) == []
    for name, log in logs.items():
        assert not (place.kit(name) / job_id / "log.txt").exists()
        (line,) = {line.partition(REFUSAL)[2] for line in log().splitlines() if REFUSAL in line}
        assert reason in line


REASONS = {
    unsigned: "fedefm-manifest.json: missing",
    by_a_hospital: "may not sign this, its role is none",
    by_a_member: "may not sign this, its role is member",
    altered: "foundation.json: changed",
    with_a_file_more: "more.json: added",
    with_a_file_less: "foundation.json: missing",
    with_two_files_swapped: "swapped",
    with_a_file_of_another: "foundation.json: changed",
    with_the_manifest_of_another: "foundation.json: changed",
}


@pytest.mark.parametrize("makers", [(unsigned, altered), pytest.param(tuple(REASONS), marks=pytest.mark.slow)])
def test_t4_t6_what_no_lead_signed_starts_at_no_hospital(makers, consortium, tmp_path):
    """All in one queue, which the server works off in order."""
    lead, logs = lead_of(consortium), ears(consortium)
    jobs = [lead.submit(make(consortium, tmp_path / make.__name__)) for make in makers]
    assert lead.watch(jobs[-1], lambda: None, 300.0) != COMPLETED
    for name, log in logs.items():
        lines = [line for line in log().splitlines() if REFUSAL in line]
        for line, make in zip(lines, makers, strict=True):
            assert REASONS[make] in line, make.__name__
        for job_id in jobs:
            assert not (consortium.kit(name) / job_id / "log.txt").exists()
    assert not [job_id for job_id in jobs if launched(consortium, job_id)]


@pytest.mark.slow
def test_t7_a_check_that_breaks_is_a_refusal(consortium, tmp_path):
    """How much a job may hold cannot be read: an error that the check itself does not foresee."""
    policies = [consortium.kit(name) / "local" / LIMITS_FILE for name in consortium.hospitals]
    before = [path.read_bytes() for path in policies]
    for path in policies:
        path.write_bytes(b"\xff\xfe")  # no text at all
    try:
        job = signed_job(tmp_path, small_settings(), consortium)
        logs = ears(consortium)
        job_id, end = outcome(consortium, job)
        assert end != COMPLETED
        for name, log in logs.items():
            assert "the check itself failed (ConfigError)" in log()
            assert not (consortium.kit(name) / job_id / "log.txt").exists()
    finally:
        for path, data in zip(policies, before, strict=True):
            path.write_bytes(data)


@pytest.mark.slow
def test_t7_the_role_that_passes_every_policy_of_flare_starts_nothing_at_a_hospital(consortium, tmp_path):
    """Such a certificate can only be made with the CA's key itself; the job is one that the lead signed."""
    name = "super@consortium.test"
    rogue = pair(tmp_path / "pair", name, "consortium", *authority(consortium), role="super")
    kit = kit_with(consortium.kit(consortium.people["lead"]), rogue, tmp_path / "kit")
    change(kit / "startup" / "fed_admin.json", "admin", "username", value=name)
    job = signed_job(tmp_path, small_settings(), consortium)
    logs = ears(consortium)
    job_id = Console(kit).submit(job)  # FLARE's server lets it, and asks the hospitals for ever
    try:
        until(lambda: all("the role super passes every policy" in log() for log in logs.values()))
        assert launched(consortium, job_id) == []
        assert not [name for name in logs if (consortium.kit(name) / job_id).exists()]
    finally:
        Console(consortium.kit(consortium.people["project_admin"])).call("job", "abort", job_id, "--force")


def off_the_list(place, folder):
    """A job that a lead signed, with an executor that is FLARE's own and not on the list."""
    job = written(folder)
    change(job / "app/config/config_fed_client.json", "executors", 0, "executor", "path", value=FOREIGN)
    sign(job, place, place.people["lead"])
    return job


@pytest.mark.slow
def test_a_class_off_the_list_is_built_at_no_hospital_and_the_signature_runs_once(consortium, tmp_path):
    """T6, replayed: what was deployed and ended is submitted again as it is."""
    job = off_the_list(consortium, tmp_path)
    job_id, end = outcome(consortium, job)
    assert end != COMPLETED
    paths = [consortium.kit(name) / job_id / "log.txt" for name in launched(consortium, job_id)]
    logs = [path.read_text() for path in paths if path.exists()]
    assert any("ComponentNotAuthorized" in log for log in logs)  # secure logging keeps the message itself back
    assert not any("NPTrainer: " in log for log in logs)  # who is slower is stopped as soon as the first has refused
    runs_nowhere(consortium, job, "this signed job was here before")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["custom/evil.py", "config/comm_config.json"])
def test_the_server_takes_no_job_with_code_in_it_though_a_lead_signed_it(where, consortium, tmp_path):
    job = written(tmp_path)
    (job / "app" / where).parent.mkdir(exist_ok=True)
    (job / "app" / where).write_text(json.dumps({"comm_driver_path": "."}))
    lead = open_kit(consortium.kit(consortium.people["lead"]))
    sign_unchecked(job, lead.certificate, lead.key)
    before = {name: set(consortium.kit(name).iterdir()) for name in consortium.hospitals}
    with pytest.raises(FedefmError, match="TrustError"):
        lead_of(consortium).submit(job)
    assert {name: set(consortium.kit(name).iterdir()) for name in consortium.hospitals} == before


@pytest.mark.slow
def test_a_hospital_that_asks_is_named_to_the_lead_and_after_its_yes_the_same_folder_runs(consortium, tmp_path):
    """And what left each hospital in the job that then ran stands in its ledger."""
    place, asks = consortium, "hospital-a"
    site = place.kit(asks) / "local" / "fedefm_site.json"
    before = site.read_text()
    job = signed_job(tmp_path, small_settings(), place)
    change(job / "meta.json", "mandatory_clients", value=[asks])  # not without it
    sign(job, place, place.people["lead"])
    change(site, "approval", value={"ask": True})
    try:
        job_id, end = outcome(place, job)
        assert end != COMPLETED and launched(place, job_id) == []
        detail = json.dumps(lead_of(place).call("job", "meta", job_id))
        assert f"{asks}: " in detail and "waits for a person of this hospital (fedefm approve " in detail
        assert main(["approve", "foundation", "--kit", str(place.kit(asks)), "--yes", "--by", "dr.who"]) == 0
        again, end = outcome(place, job)
    finally:
        site.write_text(before)
    assert end == COMPLETED
    assert [main(["site", "status", str(place.kit(name))]) for name in (asks, place.server)] == [0, 0]
    jobs = JobLedger(place.kit(asks))
    until(lambda: jobs.read()[-1]["event"] == "ended", 30)
    ran = [line for line in jobs.read() if line.get("job_id") == again]
    assert [line["event"] for line in ran] == ["deployed", "launched", "ended"]
    assert ran[0]["allowed"] == "approved by dr.who" and ran[0]["signer"] == place.people["lead"]
    record = json.loads((lead_of(place).download(again, tmp_path / "results") / DOWNLOADED / "record.json").read_text())
    for name in place.hospitals:
        lines = [line for line in Ledger(place.kit(name), OUTBOX).read() if line["job"] == again]
        assert {line["signer"] for line in lines} == {place.people["lead"]} and lines[0][
            "task"
        ] == f"0/prepare/{name}@{name}"
        assert {line["recipient"] for line in lines} == {place.server}
        assert all(line["what"] == "result" for line in lines)
        assert record["models"][name]["sha256"] in {line["weights"] for line in lines}
    assert ran[-1]["sent"] == len([line for line in Ledger(place.kit(asks), OUTBOX).read() if line["job"] == again])
